"""P7: one process writes a run folder; readers come and go while it does."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import evalharness
from evalharness.errors import EXIT_IN_USE
from evalharness.store.parts.verify import verify_folder
from tests.durability.invariants import every_visible_parquet_opens, record_contents
from tests.durability.processes import Emulator, ForkServer

Emulate = Callable[..., AbstractContextManager[Emulator]]
PLAN = ("dataset.limit=4", "sweep.temperature=[0,1]", "sweep.seed=null", "params.max_tokens=8")
# Drawn from a plan so large that the second process must be turned away before it makes it.
LARGE = "repeats=100000"


def content(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder: its bytes and when it was changed."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_a_second_process_is_turned_away_and_touches_nothing(
    fork_server: ForkServer, emulate: Emulate, tmp_path: Path
) -> None:
    """While one process waits for answers, another exits 75; not a byte of the folder changes."""
    with emulate("--ttft-ms", "60000") as emulator:
        arguments = ("run", "name=shared", *emulator.provider, *PLAN, "limits.concurrency=2")
        first = fork_server.start(tmp_path, *arguments)
        emulator.wait_until_received(2)
        root = tmp_path / "results" / "shared"
        before = content(root)
        for more in ((), (LARGE,), ("repeats=1", "sweep.temperature=[0.3]")):
            done = fork_server.run(tmp_path, *arguments, *more)
            assert done.code == EXIT_IN_USE, done.err
            assert f"is being written by process {first.pid}" in done.err
            assert "name=" in done.last_line
        assert content(root) == before
        assert emulator.stats()["requests"] == 2
        # A bad configuration is said as such, also there.
        assert fork_server.run(tmp_path, *arguments, "repeats=0").code == 2
        first.signal(signal.SIGKILL)  # draining would take the minute that answers take
        first.wait()


def test_the_lock_goes_with_its_process(
    fork_server: ForkServer, emulate: Emulate, emulator: Emulator, tmp_path: Path
) -> None:
    """After kill -9 nothing has to be removed by hand."""
    with emulate("--ttft-ms", "60000") as slow:
        first = fork_server.start(tmp_path, "run", "name=k", *slow.provider, *PLAN)
        slow.wait_until_received(2)
        first.signal(signal.SIGKILL)
        first.wait()
    assert (
        fork_server.run(tmp_path, "run", "name=k", *emulator.provider, *PLAN, quiet=True).code == 0
    )


def test_readers_and_losers_of_a_busy_run(
    fork_server: ForkServer, emulator: Emulator, tmp_path: Path
) -> None:
    """report, verify, show, export and load succeed again and again while a run writes and seals."""
    arguments = (
        "run", "name=busy", *emulator.provider, *PLAN, "repeats=400", "limits.concurrency=4",
    )  # fmt: skip
    running = fork_server.start(tmp_path, *arguments, seal_trials=25, quiet=True)
    root = tmp_path / "results" / "busy"
    emulator.wait_until_served(emulator.served() + 30, by=running)
    rounds, seen = 0, 0
    while (done := running.poll()) is None:
        assert verify_folder(root).is_sound
        records = evalharness.load(root).table("records", ["trial_id"])["trial_id"].to_pylist()
        assert len(records) == len(set(records)) >= seen
        seen = len(records)
        every_visible_parquet_opens(root)
        if rounds % 4 == 0:
            turned_away = fork_server.run(tmp_path, *arguments).code
            if (done := running.poll()) is not None:
                break  # the run ended while the second one started, which may then have found it so
            assert turned_away == EXIT_IN_USE
            report = fork_server.run(tmp_path, "report", "busy", "--json")
            assert report.code == 0, report.err
            assert json.loads(report.out)["run"]["records"] >= seen
            for reader in (
                ("verify", "busy"),
                ("show", "busy", "capital-france"),
                ("export", "busy", "--format", "jsonl"),
            ):
                read = fork_server.run(tmp_path, *reader)
                assert read.code == 0, read.err
        rounds += 1
    assert done.code == 0, done.err
    assert rounds >= 2, "the run was over before it could be read"
    assert len(record_contents(root)) == 4 * 2 * 400
    assert verify_folder(root).is_sound
