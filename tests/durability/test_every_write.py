"""The command dies, or a sync fails, at the n-th call that changes the run folder, n = 1, 2, 3 ….

Counted are SQLite's, Arrow's and Python's own calls alike, in the process of the real command.
``EVALHARNESS_EVERY_WRITE=1`` visits every n; else every few.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from evalharness.errors import EXIT_STORAGE
from evalharness.store.parts.verify import verify_folder
from tests.durability.invariants import (
    every_visible_parquet_opens,
    final_state_is_sound,
    record_contents,
    recorded_requests,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import (
    KILL,
    SYNC_EIO,
    TEAR,
    Emulator,
    Fault,
    FinishedCommand,
    ForkServer,
)

PLAN = (
    "dataset.limit=2", "sweep.seed=[1,2]", "sweep.temperature=null", "repeats=1",
    "params.max_tokens=4", "limits.concurrency=2",
)  # fmt: skip
PLANNED = 4
OPTIONS: dict[str, Any] = {"seal_trials": 2, "seal_here": True, "composed": True, "quiet": True}
EVERYTHING = bool(os.environ.get("EVALHARNESS_EVERY_WRITE"))
MOST = 1_000


class Round:
    """One fresh run folder, struck once and then continued to its end."""

    def __init__(self, fork_server: ForkServer, emulator: Emulator, cwd: Path) -> None:
        self.options = OPTIONS
        self._fork_server, self._emulator, self._cwd = fork_server, emulator, cwd
        self.root = cwd / "results" / "struck"
        self._arguments = ("run", "name=struck", *emulator.provider, *PLAN)
        whole = ("run", "name=whole", *emulator.provider, *PLAN)
        assert fork_server.run(cwd, *whole, seal_trials=2, quiet=True).code == 0
        self._expected = record_contents(cwd / "results" / "whole")

    def strike(self, fault: Fault) -> FinishedCommand:
        """Run until the fault strikes, or to the end."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._begin = len(self._emulator.ledger())
        return self._fork_server.run(self._cwd, *self._arguments, fault=fault, **self.options)

    def continue_and_check(self) -> None:
        """What was recorded stays; the same command ends with the plan, bought once."""
        struck = self.sent()
        if (self.root / "run.json").exists():
            report = verify_folder(self.root)
            assert report.is_sound, report.findings
        every_visible_parquet_opens(self.root)
        recorded = recorded_requests(self.root)
        done = self._fork_server.run(self._cwd, *self._arguments, **self.options)
        assert done.code == 0, done.err
        final_state_is_sound(self.root, expected=self._expected, planned=PLANNED)
        assert recorded <= recorded_requests(self.root)
        ledger = self._emulator.ledger()[self._begin :]
        requests_sent_twice_are_in_doubt(ledger, self.root)
        again = {r["client_request_id"].rpartition(".")[0] for r in ledger[struck:]}
        finished = {r.rpartition(".")[0] for r in recorded}
        assert not again & finished, "a trial whose answer was on disk was asked again"

    def sent(self) -> int:
        """Requests of this round so far."""
        return len(self._emulator.ledger()) - self._begin


@pytest.fixture
def one(faulty: ForkServer, emulator: Emulator, tmp_path: Path) -> Round:
    """A folder to strike."""
    return Round(faulty, emulator, tmp_path)


def test_killed_at_every_nth_change(one: Round) -> None:
    """P1–P4: wherever the process dies, also half way through a write, the run can go on."""
    step, struck = (1 if EVERYTHING else 7), 0
    for n in range(1, MOST, step):
        done = one.strike(Fault(n, TEAR if n % 2 else KILL))
        if done.code != -signal.SIGKILL:
            break
        struck += 1
        one.continue_and_check()
    assert done.code == 0
    assert struck * step > 100


def test_killed_while_a_helper_makes_the_parts(one: Round) -> None:
    """The same where the helper lives a moment longer, in the middle of a part or of a write."""
    one.options = OPTIONS | {"seal_here": False}
    step, struck = (1 if EVERYTHING else 23), 0
    for n in range(40, MOST, step):
        done = one.strike(Fault(n, KILL))
        if done.code != -signal.SIGKILL:
            break
        struck += 1
        one.continue_and_check()
    assert done.code == 0
    assert struck


def test_every_nth_failed_sync_stops_the_run(one: Round) -> None:
    """P6: a sync that fails ends the run with 74, is never tried again, and loses nothing saved."""
    step, struck = (1 if EVERYTHING else 3), 0
    for n in range(1, MOST, step):
        done = one.strike(Fault(n, SYNC_EIO))
        seen, again = done.faults
        if seen < n:
            break
        struck += 1
        assert "Traceback" not in done.err
        assert again == 0 or one.sent() == 0
        if done.code != EXIT_STORAGE:
            # SQLite creating its file, or closing it when all is sealed: nothing was at stake.
            assert done.code == 0
            assert one.sent() == PLANNED
        one.continue_and_check()
    assert struck * step > 30
