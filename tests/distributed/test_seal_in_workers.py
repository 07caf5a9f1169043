"""Workers that seal in a helper process, killed together with it in the middle of a seal."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalharness import errors
from evalharness.store.parts.part_files import part_name
from evalharness.store.parts.verify import verify_folder
from tests.distributed.test_ray_runs import (
    DEAR,
    DEAR_ANSWERS,
    PLANNED,
    Slow,
    begin,
    descendants,
    expected,
    on_ray,
    own_disk,
    slow,
    the_slow,
    wait_for_workers,
)
from tests.durability.invariants import final_state_is_sound, requests_sent_twice_are_in_doubt
from tests.durability.processes import PATIENCE_S, ForkServer

__all__ = ["expected", "slow", "the_slow"]


def stopped_helper(root: Path) -> tuple[int, int]:
    """A worker that is sealing, and its helper, which is stopped before it has written anything."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for worker in wait_for_workers(root, 1):
            for pid in descendants(worker):
                if b"evalharness.store.parts.seal_process" in command_of(pid):
                    os.kill(pid, signal.SIGSTOP)
                    return worker, pid
        time.sleep(0.01)
    raise AssertionError("no worker seals in a helper")


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def kill_while_sealing(root: Path, emulator: Any) -> int:
    """Kill a worker and its helper in the middle of a seal; the number of the part."""
    worker, helper = stopped_helper(root)
    (lock,) = (p for p in root.glob("*/worker-*/run.lock") if f"process {worker} " in p.read_text())
    emulator.wait_until_received(emulator.stats()["requests"] + 20)
    address = f"file:{lock.with_name('journal.sqlite')}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as db:
        ((part,),) = db.execute("SELECT part FROM seal").fetchall()
    os.kill(worker, signal.SIGKILL)
    os.kill(helper, signal.SIGKILL)
    return part


@pytest.mark.long
@pytest.mark.parametrize("disk", [False, True], ids=["in the folder", "on its own disk"])
def test_a_worker_is_killed_with_its_helper_while_sealing(
    fork_server: ForkServer, slow: Slow, small_seals: str, tmp_path: Path, expected: Any, disk: bool
) -> None:
    """The part that was begun is made from its journal; all other trials are recorded once."""
    more = [own_disk(tmp_path)] if disk else []
    command = begin(fork_server, tmp_path, *on_ray(small_seals, slow, *more))
    root = tmp_path / "results" / "r"
    part = kill_while_sealing(tmp_path / "disk" if disk else root, slow)
    done = command.wait()
    assert done.code == 0, done.err
    assert done.err.count("is lost") == 1
    assert (root / "records" / part_name(part)).exists()
    final_state_is_sound(root, expected=expected, planned=PLANNED)
    assert requests_sent_twice_are_in_doubt(slow.ledger(), root) <= 9


@pytest.mark.long
def test_what_a_worker_was_sealing_counts_against_the_money_limit(
    fork_server: ForkServer, emulate: Any, small_seals: str, tmp_path: Path
) -> None:
    """P12: its dollars come back but for what it spent, the part that nobody had listed included."""
    with emulate(*DEAR_ANSWERS) as emulator:
        arguments = on_ray(small_seals, emulator, DEAR, "limits.max_cost_usd=1.0")
        command = begin(fork_server, tmp_path, *arguments)
        root = tmp_path / "results" / "r"
        kill_while_sealing(root, emulator)
        done = command.wait()
        assert done.code == errors.EXIT_BUDGET, done.err
        assert 0.9 < float(emulator.stats()["billed_usd"]) <= 1.0
        assert verify_folder(root).is_sound
