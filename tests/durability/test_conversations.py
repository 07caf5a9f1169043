"""Conversations: each turn bought once, with the answers that really came before it."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import evalharness
from evalharness.store.parts.verify import verify_folder
from tests.durability.invariants import requests_sent_twice_are_in_doubt
from tests.durability.processes import Emulator, ForkServer

CONVERSATIONS, TURNS, REPEATS = 5, 4, 3
PLANNED = CONVERSATIONS * TURNS * REPEATS + 2 * REPEATS
PLAN = (
    "dataset.path=rows.jsonl", "sweep=none", "scoring=none", f"repeats={REPEATS}",
    "params.temperature=1", "params.max_tokens=8", "limits.concurrency=3",
    "limits.in_doubt_retries=3", "limits.max_attempts=2",
)  # fmt: skip


def write_rows(folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": f"c{i}", "turns": [f"Question {i}, {k}?" for k in range(1, TURNS + 1)]}
        for i in range(CONVERSATIONS)
    ]
    rows += [{"id": "single", "prompt": "Alone."}, {"id": "other", "prompt": "Alone, too."}]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def records(root: Path) -> dict[tuple[str, int], dict[str, Any]]:
    names = ["prompt_id", "repeat", "status", "text", "request_json", "error_kind", "attempts"]
    rows = evalharness.load(root).table("records", names).to_pylist()
    by_key = {(row["prompt_id"], row["repeat"]): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def each_turn_holds_the_recorded_answers(root: Path) -> int:
    """How many requests hold the answers that their conversations have in the records."""
    found, checked = records(root), 0
    for (prompt_id, repeat), row in found.items():
        if row["request_json"] is None or not prompt_id.startswith("c"):
            continue
        name, _, turn = prompt_id.partition(".")
        sent = json.loads(row["request_json"])["messages"]
        earlier = [found[f"{name}.{k}", repeat]["text"] for k in range(1, int(turn))]
        assert [m["content"] for m in sent if m["role"] == "assistant"] == earlier
        assert [m["role"] for m in sent] == [*(["user", "assistant"] * len(earlier)), "user"]
        checked += 1
    return checked


def test_kill_9_within_conversations(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """Killed again and again: what is missing is asked, with the same earlier answers."""
    write_rows(tmp_path)
    arguments = ("run", "name=talk", *emulator.provider, *PLAN)
    root, begin = tmp_path / "results" / "talk", len(emulator.ledger())
    moments, kills, resumed_within = random.Random(3), 0, 0
    while True:
        command = fork_server.start(tmp_path, *arguments, seal_trials=8, composed=True)
        emulator.wait_until_served(emulator.served() + moments.randint(1, 12), by=command)
        command.signal(signal.SIGKILL)
        done = command.wait()
        if done.code != -signal.SIGKILL:
            break
        kills += 1
        assert verify_folder(root).is_sound
        names = [name for name, _ in records(root)]
        resumed_within += any(names.count(f"c{i}.1") > names.count(f"c{i}.4") for i in range(5))
    assert done.code == 0, done.err
    assert kills >= 4
    assert resumed_within >= 2
    assert len(records(root)) == PLANNED
    assert each_turn_holds_the_recorded_answers(root) == CONVERSATIONS * TURNS * REPEATS
    requests_sent_twice_are_in_doubt(emulator.ledger()[begin:], root)
    sent = emulator.served()
    assert fork_server.run(tmp_path, *arguments).code == 0
    assert emulator.served() == sent


def test_a_failed_turn_ends_its_conversation(
    fork_server: ForkServer,
    emulate: Callable[..., AbstractContextManager[Emulator]],
    emulator: Emulator,
    tmp_path: Path,
) -> None:
    """Later turns are recorded as what they are, unsent; asked again once the failed one is."""
    write_rows(tmp_path)
    with emulate("--error-rate", "0.3", "--error-status", "400") as failing:
        run = ("run", "name=talk", *failing.provider, *PLAN)
        assert fork_server.run(tmp_path, *run).code == 1
        root, served = tmp_path / "results" / "talk", failing.served()
    found = records(root)
    assert len(found) == PLANNED
    failed = [key for key, row in found.items() if row["error_kind"] == "bad_request"]
    unsent = {key: row for key, row in found.items() if row["error_kind"] == "earlier_turn"}
    assert failed
    assert unsent
    for (prompt_id, repeat), row in unsent.items():
        name, _, turn = prompt_id.partition(".")
        before = found[f"{name}.{int(turn) - 1}", repeat]
        assert before["status"] == "error"
        assert (row["status"], row["attempts"], row["request_json"]) == ("error", 0, None)
    assert served <= PLANNED - len(unsent)
    # The same endpoint, by its name and address, that does not fail any more.
    with emulate("--port", failing.base_url.rsplit(":", 1)[1].split("/")[0]) as mended:
        again = ("run", "name=talk", "--retry-errors", *mended.provider, *PLAN)
        done = fork_server.run(tmp_path, *again)
    assert done.code == 0, done.err
    assert {row["status"] for row in records(root).values()} <= {"ok", "truncated"}
    each_turn_holds_the_recorded_answers(root)
