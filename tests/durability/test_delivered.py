"""P15 and P18 on the ledger: what was delivered is bought once; bad input buys nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import evalharness
from tests.durability.processes import Emulator, ForkServer

Emulate = Callable[..., AbstractContextManager[Emulator]]
PLAN = (
    "dataset.limit=3", "sweep.temperature=null", "sweep.seed=null", "repeats=4",
    "params.max_tokens=2", "limits.max_attempts=5", "limits.in_doubt_retries=5",
)  # fmt: skip
PLANNED = 12


def test_odd_but_delivered_answers_are_bought_once(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """Cut by length, filtered, empty, refused or without usage: recorded, and never asked again."""
    odd = {"content_filter": 0.25, "empty_text": 0.3, "missing_usage": 0.4, "refusal": 0.5}
    faults = [word for name, rate in odd.items() for word in ("--fault", f"{name}={rate}")]
    with emulate("--output-tokens", "50", *faults) as emulator:
        arguments = ("run", "name=odd", *emulator.provider, *PLAN)
        # A scorer that fails on what it gets is no reason either.
        scored = (*arguments, "scoring=[{name: json_valid}]")
        assert fork_server.run(tmp_path, *scored).code == 0
        assert fork_server.run(tmp_path, *arguments).code == 0
        assert len(emulator.ledger()) == PLANNED
    run = evalharness.load(tmp_path / "results" / "odd")
    records = run.records()
    assert len(run.attempts()) == len(records) == PLANNED
    assert set(records["status"]) >= {"truncated", "empty", "refused"}
    assert records["total_tokens"].isna().any()


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}], "d.jsonl"),
        ([{"id": "a"}], "d.jsonl"),
        (["{"], "d.jsonl"),
    ],
)
def test_a_bad_dataset_sends_nothing(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path, lines: list[object], named: str
) -> None:
    """Exit 2, file named, no request, no folder."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (tmp_path / "d.jsonl").write_text("\n".join(texts) + "\n")
    before = emulator.stats()["requests"]
    done = fork_server.run(tmp_path, "run", "name=bad", *emulator.provider, "dataset.path=d.jsonl")
    assert done.code == 2
    assert named in done.err
    assert emulator.stats()["requests"] == before
    assert not (tmp_path / "results").exists()
