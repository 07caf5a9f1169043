"""kill -9 at random moments of the real command: nothing lost, nothing bought twice unsaid."""

from __future__ import annotations

import json
import random
import re
import signal
from pathlib import Path

import pytest

from evalharness.store.parts.verify import verify_folder
from evalharness.throttle.ready_queue import prefetch_size
from tests.durability.invariants import (
    every_visible_parquet_opens,
    final_state_is_sound,
    in_doubt,
    record_contents,
    recorded_requests,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import Emulator, ForkServer

PLAN = (
    "dataset.limit=6", "sweep.seed=[1,2]", "sweep.temperature=[0,1]", "repeats=4",
    "params.max_tokens=8", "limits.concurrency=6", "limits.in_doubt_retries=3",
)  # fmt: skip
PLANNED = 6 * 2 * 2 * 4
SEAL_TRIALS = 8
MOST_ROUNDS = 40


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_random_moments(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path, seed: int
) -> None:
    """P1–P4: killed again and again, the run ends with its plan exactly once, bought once.

    What was bought without an answer is in the attempts table, the report and the last lines.
    """
    arguments = ("run", "name=killed", *emulator.provider, *PLAN)
    whole = ("run", "name=whole", *emulator.provider, *PLAN)
    assert fork_server.run(tmp_path, *whole, seal_trials=SEAL_TRIALS).code == 0
    root = tmp_path / "results" / "killed"
    begin = len(emulator.ledger())
    moments, kills = random.Random(seed), 0
    for _ in range(MOST_ROUNDS):
        done_before = recorded_requests(root)
        command = fork_server.start(tmp_path, *arguments, seal_trials=SEAL_TRIALS, composed=True)
        emulator.wait_until_served(emulator.served() + moments.randint(1, 14), by=command)
        command.signal(signal.SIGKILL)
        done = command.wait()
        if done.code != -signal.SIGKILL:
            break
        kills += 1
        every_visible_parquet_opens(root)
        assert done_before <= recorded_requests(root)
        state = verify_folder(root)
        assert state.is_sound, state.findings
    assert done.code == 0, done.err
    assert kills >= 5
    ledger = emulator.ledger()[begin:]
    final_state_is_sound(
        root, expected=record_contents(tmp_path / "results" / "whole"), planned=PLANNED
    )
    doubts = requests_sent_twice_are_in_doubt(ledger, root)
    # On the wire, or made ready while those were: both had their intent on disk.
    assert 0 < doubts <= kills * (6 + prefetch_size(6))
    assert {request["client_request_id"] for request in ledger} <= recorded_requests(root)
    report = json.loads(fork_server.run(tmp_path, "report", "killed", "--json").out)
    assert report["run"]["attempts_in_doubt"] == doubts
    said_last = re.search(r"(\d+) attempts? of this run in doubt", done.err)
    assert said_last is not None
    assert int(said_last[1]) == doubts == len(in_doubt(root))
