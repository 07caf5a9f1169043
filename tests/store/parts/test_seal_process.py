"""Parts made in a helper process: the same parts, also when the helper is killed or refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.errors import RunInUseError, StorageError
from evalharness.store.folder import lock
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal
from evalharness.store.parts.seal_process import SealProcess, SealRequest
from evalharness.store.parts.setting_columns import columns_by_setting
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import SETTING, intent, open_store, result

SETTINGS = columns_by_setting([SETTING])


async def committed(root: Path, count: int) -> tuple[RunStore, SealRequest]:
    """A store with some answers in its journal, and a seal over them that was begun."""
    store = open_store(root, count)
    store.start()
    for number in range(count):
        await store.append(intent(number))
        await store.append(result(number))
    part, upto = await store.journal.execute(lambda db: seal.begin_seal(db, 1))
    return store, SealRequest(str(root), str(store.journal.path), part, upto, SETTINGS)


def rows(root: Path) -> list[str]:
    return sorted(Run.open(root).records()["text"])


async def test_the_helper_makes_the_part_that_would_be_made_here(tmp_path: Path) -> None:
    here, work = await committed(tmp_path / "here", 5)
    there, far = await committed(tmp_path / "there", 5)
    apart = SealProcess(there.folder.lock)
    apart.start_with_next_part()
    mine, its = SealProcess(here.folder.lock).make_part(work), apart.make_part(far)
    process = apart.process
    assert process is not None
    assert process.pid != os.getpid()
    assert mine.seqs == its.seqs
    assert mine.damage == its.damage == []
    assert mine.sealed is not None
    assert its.sealed is not None
    assert [p.sha256 for p in mine.sealed.parts] == [p.sha256 for p in its.sealed.parts]
    apart.close()
    assert process.returncode == 0
    here.close()
    there.close()


async def test_a_killed_helper_loses_nothing(tmp_path: Path) -> None:
    store, work = await committed(tmp_path / "run", 5)
    apart = SealProcess(store.folder.lock)
    apart.start_with_next_part()
    apart.process = apart._start()
    assert apart.process is not None
    os.kill(apart.process.pid, signal.SIGKILL)
    done = apart.make_part(work)
    assert len(done.seqs) == 10
    assert apart.process is None
    store.close()
    again = open_store(tmp_path / "run", 5)
    again.start()
    await again.finish(status="complete", reason=None)
    assert rows(tmp_path / "run") == [f"answer {n}" for n in range(5)]
    assert verify_folder(tmp_path / "run").is_sound


async def test_what_stops_the_helper_stops_the_run(tmp_path: Path) -> None:
    store, work = await committed(tmp_path / "run", 5)
    (tmp_path / "run" / "records").rmdir()
    (tmp_path / "run" / "records").write_text("in the way")
    apart = SealProcess(store.folder.lock)
    apart.start_with_next_part()
    with pytest.raises(StorageError, match=r"sealed|write"):
        apart.make_part(work)
    apart.close()
    store.close()


async def test_a_run_that_fills_a_part_seals_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started by the first part that is due while requests are sent; gone when the run is closed."""
    monkeypatch.setattr(seal, "SEAL_TRIALS", 20)
    store = open_store(tmp_path / "run", 100)
    store.start()
    for number in range(100):
        await store.append(intent(number))
        await store.append(result(number))
    while store.seal_scheduler.task is not None:
        await store.seal_scheduler.task
    process = store.seal_scheduler._process.process
    assert process is not None
    await store.finish(status="complete", reason=None)
    assert process.returncode == 0
    assert len(rows(tmp_path / "run")) == 100
    assert verify_folder(tmp_path / "run").is_sound


def test_the_helper_dies_with_its_parent_and_holds_the_lock_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"""
from evalharness.store.folder.lock import take_lock
from evalharness.store.parts.seal_process import SealProcess
from pathlib import Path
seal_process = SealProcess(take_lock(Path({str(tmp_path / "run")!r})))
process = seal_process._start()
print(process.pid, flush=True)
input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    helper = int(parent.stdout.readline())
    os.kill(helper, signal.SIGSTOP)  # in the middle of something
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    with monkeypatch.context() as patch:
        patch.setattr(lock, "_HELPER_WAIT_S", 0.0)
        with pytest.raises(RunInUseError):
            take_lock(tmp_path / "run")
    os.kill(helper, signal.SIGCONT)
    os.close(take_lock(tmp_path / "run"))  # waits for it
