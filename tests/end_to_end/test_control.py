"""``evalharness control`` on real runs: nothing is sent in a pause, nothing is lost or sent twice."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import evalharness
from evalharness.view.live.reader import LiveReader
from tests.cli.emulated_provider import EMULATOR_PRICE
from tests.durability.invariants import intended_requests, recorded_requests
from tests.durability.processes import PATIENCE_S, Command, Emulator, FinishedCommand, ForkServer

Emulate = Callable[..., AbstractContextManager[Emulator]]
NAME, PROMPTS = "watched", 400
PRICE = EMULATOR_PRICE.replace("provider: emulator", "provider: openai_compatible")


@pytest.fixture
def slow(emulate: Emulate) -> Iterator[Emulator]:
    """An emulator that answers after 40 ms."""
    with emulate("--ttft-ms", "40") as emulator:
        yield emulator


class WatchedRun:
    """A run in a process of its own, and commands to it."""

    def __init__(self, fork_server: ForkServer, folder: Path, emulator: Emulator) -> None:
        self._fork_server, self._folder, self.emulator = fork_server, folder, emulator
        self.root = folder / "results" / NAME
        prompts = folder / "many.jsonl"
        prompts.write_text("".join(f'{{"prompt": "Say {n}"}}\n' for n in range(PROMPTS)))
        self._arguments = [
            "run", f"name={NAME}", *emulator.provider, "dataset=file", f"dataset.path={prompts}",
            "repeats=1", "sweep=none", "scoring=none", "params.max_tokens=8",
            "limits.concurrency=4", PRICE,
        ]  # fmt: skip

    def start(self, *overrides: str) -> Command:
        return self._fork_server.start(self._folder, *self._arguments, *overrides, quiet=True)

    def run(self, *overrides: str) -> FinishedCommand:
        return self.start(*overrides).wait()

    def control(self, *words: str) -> FinishedCommand:
        return self._fork_server.run(self._folder, "control", NAME, *words)

    def report(self, *flags: str) -> str:
        return self._fork_server.run(self._folder, "report", NAME, *flags).out

    def does(self, *words: str) -> str:
        """A command that must succeed; what it says."""
        finished = self.control(*words)
        assert finished.code == 0, finished.err
        return finished.out

    def status(self) -> dict[str, Any]:
        return json.loads(self.does("status", "--json"))

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.root / "run.json").read_bytes())

    def pause(self) -> int:
        """Pause, and wait for what is in flight; requests that were received by then."""
        assert "paused" in self.does("pause", "--reason", "to look")
        deadline = time.monotonic() + PATIENCE_S
        while (status := self.status())["in_flight"]:
            assert time.monotonic() < deadline
        assert status["paused_since"] is not None
        return self.emulator.stats()["requests"]


@pytest.fixture
def watched(fork_server: ForkServer, tmp_path: Path, slow: Emulator) -> WatchedRun:
    return WatchedRun(fork_server, tmp_path, slow)


@pytest.fixture
def lasting(fork_server: ForkServer, tmp_path: Path, emulate: Emulate) -> Iterator[WatchedRun]:
    """A run that lasts, however slow the commands to it start: ten times as long an answer."""
    with emulate("--ttft-ms", "400") as emulator:
        yield WatchedRun(fork_server, tmp_path, emulator)


def _served_once(run: WatchedRun) -> None:
    """Every prompt was bought once and no more."""
    served = [entry for entry in run.emulator.ledger() if entry.get("status", 200) == 200]
    ids = Counter(entry["client_request_id"].rpartition(".")[0] for entry in served)
    assert len(ids) == PROMPTS
    assert set(ids.values()) == {1}


def test_a_pause_sends_nothing_and_its_time_is_nobodys_waiting(watched: WatchedRun) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    received = watched.pause()
    assert received < PROMPTS
    paused_at = time.monotonic()
    assert "paused already" in watched.does("pause")
    # Several looks of the process later there is still no other request.
    while time.monotonic() - paused_at < 3:
        assert watched.status()["recorded"] == watched.emulator.stats()["requests"] == received
    assert f"evalharness control {NAME} resume" in running.errors()
    assert watched.does("resume") == f"{NAME}: it goes on\n"
    finished = running.wait()
    assert finished.code == 0, finished.err
    _served_once(watched)
    records = evalharness.load(watched.root).records()
    assert len(records) == PROMPTS
    assert max(records["queue_s"]) < 3
    assert min((sent - due).total_seconds() - queue for sent, due, queue in zip(
        records["sent_at"], records["scheduled_at"], records["queue_s"], strict=True
    )) > -0.01  # fmt: skip
    pause, resume = watched.manifest()["control"]
    assert (pause["command"], pause["reason"], resume["command"]) == ("pause", "to look", "resume")
    assert pause["at"] < resume["at"]
    assert pause["who"]
    (session,) = watched.manifest()["sessions"]
    assert session["paused_s"] >= 3
    assert not (watched.root / "control" / "status.json").exists()


def test_a_kill_during_a_pause_loses_and_doubts_nothing(watched: WatchedRun) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    received = watched.pause()
    # Nothing was to be sent any more, so nothing can be in doubt.
    assert intended_requests(watched.root) <= recorded_requests(watched.root)
    running.signal(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    died = watched.control("resume")
    assert died.code == 74
    assert "its process has died" in died.err
    again = watched.run("limits.concurrency=16")
    assert again.code == 0, again.err
    assert "the run was paused; it goes on now" in again.err
    assert "not in this plan" not in again.err
    assert f"{received} of {PROMPTS} recorded before" in again.err
    _served_once(watched)
    assert [change["command"] for change in watched.manifest()["control"]] == ["pause", "restart"]
    assert watched.manifest()["in_doubt"] == 0


def test_limits_change_at_once_and_the_report_says_so(lasting: WatchedRun) -> None:
    running = lasting.start()
    lasting.emulator.wait_until_served(20, by=running)
    assert "limits.concurrency: 4 → 24" in lasting.does("set", "limits.concurrency=24")
    deadline = time.monotonic() + PATIENCE_S
    while lasting.status()["in_flight"] <= 4:
        assert time.monotonic() < deadline
        assert running.poll() is None
    # More than 30 went within the last minute: nothing goes until they are a minute old.
    assert "limits.rpm: null → 30" in lasting.does("set", "limits.rpm=30", "--reason", "quota")
    while lasting.status()["in_flight"]:
        assert time.monotonic() < deadline
    received = lasting.emulator.stats()["requests"]
    assert "requests per minute" in lasting.status()["waiting"]
    assert lasting.emulator.stats()["requests"] == received < PROMPTS
    assert "limits.rpm is 30 already" in lasting.does("set", "limits.rpm=30")
    assert "30 → null" in lasting.does("set", "limits.rpm=null")
    assert running.wait().code == 0
    _served_once(lasting)
    changes = lasting.manifest()["control"]
    assert [(c["key"], c["old"], c["new"], c["reason"]) for c in changes] == [
        ("concurrency", 4, 24, None), ("rpm", None, 30, "quota"), ("rpm", 30, None, None),
    ]  # fmt: skip
    assert "limits.rpm null → 30 by" in lasting.report("--html", "page.html")
    assert "limits.rpm null → 30 by" in (lasting.root.parents[1] / "page.html").read_text()


@pytest.mark.parametrize("paused", [False, True])
def test_a_cost_limit_below_what_is_spent_stops_with_4(watched: WatchedRun, paused: bool) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    if paused:
        watched.pause()
    assert "The run stops" in watched.does("set", "limits.max_cost_usd=0.0001")
    finished = running.wait()
    assert finished.code == 4, finished.err
    assert "limits.max_cost_usd=0.0001 is below what was spent" in finished.err
    assert finished.last_line.endswith("limits.max_cost_usd=NEW")
    ended = watched.control("pause")
    assert ended.code == 2
    assert "is not running: stopped" in ended.err
    # The second session counts what the first one spent, also where it began without a limit.
    second = watched.start()
    watched.emulator.wait_until_served(PROMPTS // 2, by=second)
    before = watched.status()
    assert "The run stops" in watched.does("set", f"limits.max_cost_usd={before['spent_usd']}")
    assert second.wait().code == 4


def test_a_cost_limit_that_holds_stops_before_it_is_passed(watched: WatchedRun) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(20, by=running)
    watched.pause()
    spent = float(watched.status()["spent_usd"])
    assert spent > 0
    limit = f"{spent + 0.0008:.7f}"
    watched.does("set", f"limits.max_cost_usd={limit}")
    watched.does("resume")
    assert running.wait().code == 4
    billed = sum(float(entry["billed_usd"] or 0) for entry in watched.emulator.ledger())
    assert spent < billed <= float(limit)


def test_a_stopped_process_is_waited_for_only_so_long(watched: WatchedRun) -> None:
    running = watched.start()
    watched.emulator.wait_until_served(5, by=running)
    running.signal(signal.SIGSTOP)
    asked = watched.control("pause", "--wait", "0.5")
    running.signal(signal.SIGCONT)
    assert asked.code == 74
    assert "gave no answer in 0.5 s; nothing is changed later" in asked.err
    # The request is too old when the process looks at it.
    assert running.wait().code == 0
    assert watched.manifest()["control"] == []


def test_a_load_point_takes_no_changes(watched: WatchedRun) -> None:
    running = watched.start(
        "load=closed", "load.requests=400", "load.concurrency=2", "limits.max_cost_usd=null"
    )
    watched.emulator.wait_until_received(4)
    refused = watched.control("pause")
    assert refused.code == 2, refused.out
    assert "would falsify it" in refused.err
    assert "would falsify it" in watched.control("set", "limits.rpm=3").err
    # It says so at once, and not that it may stand still.
    told = watched.does("status", "--wait", str(PATIENCE_S)).splitlines()
    assert told[0] == f"{NAME}: running"
    assert " recorded" in told[1]
    assert told[2].startswith("  it cannot be paused or given other limits: a load point is")
    assert "the same command measures what is left" in told[3]
    status = watched.status()
    assert status["recorded"] > 0
    assert (status["in_flight"], status["spent_usd"], status["limits"]) == (None, None, {})
    figures = LiveReader(watched.root).look()
    assert figures is not None
    assert "would falsify it" in str(figures.refuses)
    running.signal(signal.SIGTERM)
    running.wait()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["set"], "nothing to set"),
        (["set", "limits.rmp=3"], "did you mean limits.rpm?"),
        (["set", "limits.tpm=3"], "`limits.tpm` cannot be changed while a run goes on"),
        (["set", "limits.rpm=0"], "`limits.rpm`: must be a number > 0"),
        (["set", "limits.concurrency=x"], "`limits.concurrency`: must be a whole number"),
        (["puase"], "did you mean pause?"),
        (["pause", "limits.rpm=3"], "`pause` takes no limits.rpm=3"),
        (["pause"], "no run `watched`"),
    ],
)
def test_what_cannot_be_asked_for(
    fork_server: ForkServer, tmp_path: Path, words: list[str], message: str
) -> None:
    finished = fork_server.run(tmp_path, "control", NAME, *words)
    assert finished.code == 2
    assert message in finished.err
