"""Parts that workers upload to a store: real journals, folders and a real store, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalharness.distributed.leases import JournalLocation, LeaseLedger
from evalharness.distributed.messages import Lease, UploadTarget
from evalharness.distributed.part_upload import PartUpload, StoreParts, check_shared_folder
from evalharness.distributed.shard_board import Shard
from evalharness.distributed.worker_recovery import WorkerRecovery
from evalharness.errors import ConfigError, StorageError
from evalharness.planning.plan import Plan
from evalharness.records import AttemptResult, Intent
from evalharness.runner.budget import RunBudget
from evalharness.runner.run_summary import RunSummary
from evalharness.store.folder.run import Run
from evalharness.store.parts.part_files import part_name
from evalharness.store.parts.seal import SealedParts, collect, write_parts
from evalharness.store.parts.verify import verify_folder
from evalharness.store.remote.locations import fetch_run, results_root
from tests.distributed.test_worker_recovery import Disks, answered, intents, on_disk, opened
from tests.planning.small_plan import dataset, plan
from tests.store.remote.conftest import s3, store

__all__ = ["dataset", "s3", "store"]
pytestmark = pytest.mark.parametrize("store", ["file", "s3"], indirect=True)


class NoNodes:
    """A cluster of which only the driver's node is left."""

    def alive(self) -> list[str]:
        return []

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        return None

    async def discard(self, node: str, folder: str) -> None:
        raise AssertionError("there is nothing to discard")


class Lost:
    """A run in a store whose only worker is behind a cut network; part 1 is its to upload."""

    def __init__(self, url: str, folder: Path, plan: Plan) -> None:
        self.url, self.plan = url, plan
        self.root = results_root(url, str(folder / "copies")) / "r"
        self.driver = opened(self.root, plan)
        sync = self.driver.folder.sync
        assert sync is not None
        self.uploads = PartUpload(UploadTarget(sync.url, sync.copy))
        self.leases = LeaseLedger(self.root / "journal", "plan")
        self.leases.register_worker("worker-0001", JournalLocation("node", "/gone"))
        self.leases.record_leases([
            Lease(1, "worker-0001", Shard(0, len(plan))), Lease(2, "worker-0001", part=1),
        ])  # fmt: skip
        self.recovery = WorkerRecovery(
            plan, self.driver, NoNodes(), self.leases, RunBudget(None, {}),
            RunSummary(planned=len(plan)), StoreParts(self.driver.folder, sync),
        )  # fmt: skip
        self.disk = folder / "disk"
        for table in ("records", "attempts"):
            (self.disk / table).mkdir(parents=True)

    def sealed(self, trials: list[Intent]) -> SealedParts:
        """Part 1 as the worker has it on its disk."""
        values: list[tuple[int, Intent | AttemptResult]] = [*enumerate(map(answered, trials))]
        parts = write_parts(self.disk, 1, collect(values), {})
        assert parts is not None
        return parts

    async def end(self) -> Any:
        """End the session; attempts and records as another machine reads them."""
        await self.driver.finish(status="interrupted", reason=None)
        base, _, query = self.url.partition("?")
        elsewhere = Run.open(fetch_run(f"{base}/r?{query}" if query else f"{base}/r"))
        assert verify_folder(elsewhere.root).is_sound, verify_folder(elsewhere.root).findings
        return elsewhere.attempts(), elsewhere.records()


@pytest.fixture
def lost(store: str, tmp_path: Path, dataset: Any, monkeypatch: pytest.MonkeyPatch) -> Lost:
    monkeypatch.setenv("EVALHARNESS_STAGING", str(tmp_path / "elsewhere"))
    return Lost(store, tmp_path, plan(dataset, repeats=1))


async def test_what_a_lost_worker_has_uploaded_counts(lost: Lost) -> None:
    """Nobody had listed it: its records are fetched, and only the rest of its shard is in doubt."""
    trials = intents(lost.plan)
    lost.uploads.upload(lost.disk, lost.sealed(trials[:2]).parts)
    lost.driver.start()
    work = await lost.recovery.recover("worker-0001")
    assert {path.split("/")[0] for path in work.parts} == {"records", "attempts"}
    assert {r.intent.trial_id for r in work.results} == {t.trial_id for t in trials[2:]}
    _, records = await lost.end()
    assert set(records["trial_id"]) == {t.trial_id for t in trials[:2]}


async def test_a_part_that_was_uploaded_is_not_made_again(lost: Lost, tmp_path: Path) -> None:
    """Its worker was killed before the journal dropped it, and the journal is damaged since."""
    trials = intents(lost.plan)
    lost.uploads.upload(lost.disk, lost.sealed(trials[:2]).parts)
    disks = Disks(lost.root)
    location = on_disk(tmp_path / "node", lost.root, *trials[:2], part=1)
    lost.leases.register_worker("worker-0001", location)
    lost.recovery._nodes = disks
    lost.driver.start()
    work = await lost.recovery.recover("worker-0001")
    assert not work.results
    assert sorted(work.parts) == [f"{t}/{part_name(1)}" for t in ("attempts", "records")]
    _, records = await lost.end()
    assert set(records["trial_id"]) == {t.trial_id for t in trials[:2]}


async def test_a_worker_that_was_given_up_uploads_nothing_any_more(lost: Lost) -> None:
    """It lives, and its network comes back: its trials are others' by then, and never doubled."""
    trials = intents(lost.plan)
    parts = lost.sealed(trials[:2]).parts
    lost.driver.start()
    work = await lost.recovery.recover("worker-0001")
    assert {r.intent.trial_id for r in work.results} == {t.trial_id for t in trials}
    with pytest.raises(StorageError, match="went on without this worker"):
        lost.uploads.upload(lost.disk, parts)
    _, records = await lost.end()
    assert not len(records)
    assert not (lost.root / "journal" / "leases.jsonl").exists()


async def test_a_worker_is_given_up_between_attempts_and_records(lost: Lost) -> None:
    """What it has sent is known with its cost, its answers are not: asked again under number 2."""
    trials = intents(lost.plan)
    records, attempts = lost.sealed(trials[:2]).parts
    lost.uploads.upload(lost.disk, [attempts])
    lost.driver.start()
    work = await lost.recovery.recover("worker-0001")
    assert {r.intent.trial_id for r in work.results} == {t.trial_id for t in trials[2:]}
    with pytest.raises(StorageError, match="went on without this worker"):
        lost.uploads.upload(lost.disk, [records])
    (history,) = lost.recovery.shard_histories([Shard(0, len(trials))])
    assert {trial: known.attempts for trial, known in history.tried.items()} == {
        t.trial_id: 1 for t in trials[:2]
    }
    found, none = await lost.end()
    assert set(found["trial_id"]) >= {t.trial_id for t in trials[:2]}
    assert not len(none)


async def test_giving_up_is_repeated_after_a_kill(lost: Lost) -> None:
    """The driver was killed when the empty parts were in the store and listed nowhere."""
    sync = lost.driver.folder.sync
    assert sync is not None
    parts = StoreParts(lost.driver.folder, sync)
    first = parts.shut_out(lost.leases.parts["worker-0001"])
    assert first == parts.shut_out([1]) == [("attempts", 1)]
    again = LeaseLedger(lost.root / "journal", "plan")
    assert again.parts == {"worker-0001": [1]}
    lost.driver.start()
    await lost.recovery.recover("worker-0001")
    assert [p.path for p in lost.driver.folder.manifest.parts] == [f"attempts/{part_name(1)}"]
    await lost.end()


def test_a_run_that_another_copy_owns_takes_no_parts(lost: Lost) -> None:
    other = PartUpload(lost.uploads._target._replace(copy="another"))
    with pytest.raises(StorageError, match="has been taken over"):
        other.upload(lost.disk, lost.sealed(intents(lost.plan)[:1]).parts)
    lost.driver.close()


def test_a_folder_that_is_not_the_driver_s_is_refused(lost: Lost, tmp_path: Path) -> None:
    """On a worker's machine there may be none of this path, or an older one."""
    holder = (lost.root / "run.lock").read_text()
    check_shared_folder(lost.root, holder)
    for other in (tmp_path / "none", lost.root):
        with pytest.raises(ConfigError, match=r"execution\.journal_dir|not the folder"):
            check_shared_folder(other, holder if other != lost.root else "process 1 on another")
    lost.driver.close()
