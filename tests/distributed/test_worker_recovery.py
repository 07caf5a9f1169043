"""What a lost worker leaves is taken over once: real folders, journals and ledgers, without Ray."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evalharness.distributed import worker_recovery
from evalharness.distributed.leases import FILE, JournalLocation, LeaseLedger, possible_intents
from evalharness.distributed.messages import Lease
from evalharness.distributed.shard_board import Shard
from evalharness.distributed.store import ShardStore
from evalharness.distributed.worker_recovery import WorkerRecovery
from evalharness.errors import StorageError
from evalharness.planning.plan import Plan
from evalharness.records import AttemptResult, Intent
from evalharness.runner.budget import RunBudget
from evalharness.runner.run_summary import RunSummary
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.parts.part_files import part_name
from evalharness.store.parts.seal import SealedParts, collect, list_parts, write_parts
from evalharness.store.parts.setting_columns import SettingColumns
from evalharness.store.parts.verify import verify_folder
from tests.planning.small_plan import plan
from tests.store.journal.test_worker_journals import leave
from tests.store.sample_run import result


def intents(of: Plan, attempt: int = 1) -> list[Intent]:
    """One for each trial of a plan, in its order."""
    return possible_intents(of.trials(), lambda _: attempt - 1, lambda _: None, 1)


def answered(intent: Intent, *, final: bool = True) -> AttemptResult:
    return msgspec.structs.replace(result(0, final=final), intent=intent)


def opened(root: Path, of: Plan) -> RunStore:
    store = RunStore(root, code_version="test")
    store.save_plan(
        config_yaml="name: x\n", prompts=of.prompts, digests=of.digests, settings=of.settings,
        planned=len(of),
    )  # fmt: skip
    return store


class Disks:
    """One node, whose disks are folders of this machine, read as a node reads them."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        self.settled_before = False

    def alive(self) -> list[str]:
        return ["node"]

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        return await asyncio.to_thread(worker_recovery.read_journal, folder)

    async def discard(self, node: str, folder: str) -> None:
        self.settled_before = not self.ledger.exists()
        raise StorageError("the node does not answer any more")


def over(store: RunStore, of: Plan, disks: Disks, leases: LeaseLedger | None) -> WorkerRecovery:
    return WorkerRecovery(
        of, store, disks, leases, RunBudget(None, {}), RunSummary(planned=len(of))
    )


def on_disk(
    tmp_path: Path, root: Path, *values: object, part: int | None = None
) -> JournalLocation:
    """A journal of a lost worker on a node's own disk."""
    left = leave(root, "worker-0001", *values, part=part)
    folder = tmp_path / "disk" / "worker-0001"
    folder.parent.mkdir(parents=True)
    shutil.move(left, folder)
    return JournalLocation("node", str(folder))


async def test_the_part_a_lost_worker_was_making_counts_as_its_own(
    tmp_path: Path, dataset: Path
) -> None:
    """It is in no journal and was listed for nobody: what it cost must not be free again."""
    made, root = plan(dataset), tmp_path / "run"
    store = opened(root, made)
    first, second, *_ = intents(made)
    leave(root, "worker-0001", answered(first), first, second, part=3)
    recovery = over(store, made, Disks(root), None)
    store.start()
    left = await recovery.recover("worker-0001")
    assert left.parts == ["attempts/part-000003.parquet", "records/part-000003.parquet"]
    assert [r.reply.outcome for r in left.results] == ["in_doubt"]
    table = recovery.attempts(left.parts, left.results)
    assert set(table["trial_id"].to_pylist()) == {first.trial_id, second.trial_id}
    await store.finish(status="interrupted", reason=None)
    assert verify_folder(root).is_sound


async def test_attempts_a_worker_carried_for_others_are_not_its_own(
    tmp_path: Path, dataset: Path
) -> None:
    made, root = plan(dataset), tmp_path / "run"
    first = intents(made)[0]
    store = opened(root, made)
    store.start()
    await store.append(answered(first, final=False))
    store.close()
    store = opened(root, made)
    again = msgspec.structs.replace(first, attempt=2)
    both = [answered(first, final=False), answered(again, final=False)]
    leave(root, "worker-0001", *both)
    recovery = over(store, made, Disks(root), None)
    store.start()
    left = await recovery.recover("worker-0001")
    assert left.results == [answered(again, final=False)]
    assert recovery.earlier == {first.trial_id: both}
    assert store.recovery.unfinished[first.trial_id].attempts == 2
    await store.finish(status="interrupted", reason=None)
    assert list(Run.open(root).attempts()["attempt"]) == [1, 2]


async def test_a_journal_on_another_disk_goes_only_once_all_it_held_is_settled(
    tmp_path: Path, dataset: Path
) -> None:
    """With the driver killed before: the next one fetches it again, and nothing is there twice."""
    made, root = plan(dataset), tmp_path / "run"
    store = opened(root, made)
    first, second, *_ = intents(made)
    location = on_disk(tmp_path, root, first, answered(first), second)
    ledger = root / "journal" / FILE
    leases = LeaseLedger(ledger.parent, "plan")
    leases.register_worker("worker-0001", location)
    leases.record_leases([Lease(1, "worker-0001", Shard(0, 4))])
    shutil.copy(ledger, tmp_path / FILE)
    disks = Disks(ledger)
    recovery = over(store, made, disks, leases)
    store.start()
    left = await recovery.recover("worker-0001")
    assert len(left.results) == 2
    assert disks.settled_before
    store.close()

    shutil.copy(tmp_path / FILE, ledger)  # as if it had not come to this
    store = opened(root, made)
    recovery = over(store, made, disks, LeaseLedger(ledger.parent, "plan"))
    store.start()
    await store.seal()
    store.recovery.finals.clear()
    left = await recovery.recover("worker-0001")
    assert left.results == []
    assert not ledger.exists()
    await store.finish(status="interrupted", reason=None)
    assert list(Run.open(root).records()["trial_id"]) == [first.trial_id]
    assert sorted(Run.open(root).attempts()["outcome"]) == ["delivered", "in_doubt"]
    assert verify_folder(root).is_sound


class Lost(Disks):
    """A cluster that has lost the node with the journals."""

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        return None


async def test_a_lost_disk_puts_in_doubt_only_what_nobody_wrote_down(
    tmp_path: Path, dataset: Path
) -> None:
    """A worker that lives is between the two names of a part meanwhile, as the lost one was.

    Of the lost one's trials the answered one is asked again under the next number, and only the
    other one is in doubt. The part of the worker that lives is its own: to list, and to pay.
    """
    made, root = plan(dataset), tmp_path / "run"
    store = opened(root, made)
    first, second, third, *_ = intents(made)
    ledger = root / "journal" / FILE
    leases = LeaseLedger(ledger.parent, "plan")
    for name in ("worker-0001", "worker-0002"):
        leases.register_worker(name, JournalLocation("node", str(tmp_path / name)))
    shards = [Shard(first.position, second.position + 1), Shard(third.position, len(made))]
    leases.record_leases([Lease(1, "worker-0001", shards[0]), Lease(2, "worker-0002", shards[1])])
    living = collect([(1, third), (2, answered(third))])
    for part, batch in ((2, living), (3, collect([(1, first), (2, answered(first))]))):
        write_parts(root, part, batch, {})
        (root / "records" / part_name(part)).unlink()
    recovery = over(store, made, Lost(ledger), leases)
    store.start()

    left = await recovery.recover("worker-0001")
    assert left.parts == ["attempts/part-000003.parquet"]
    assert [r.intent.trial_id for r in left.results] == [second.trial_id]
    once = UnfinishedTrial(attempts=1, sent=1)
    mine, others = recovery.shard_histories(shards)
    assert mine.tried == {first.trial_id: once}
    assert list(mine.earlier) == [second.trial_id]
    assert not others.tried
    assert store.recovery.unfinished[first.trial_id] == once

    sealed = write_parts(root, 2, living, {})
    assert sealed is not None
    list_parts(store.folder, sealed)
    for intent in (first, second):
        await store.append(answered(msgspec.structs.replace(intent, attempt=2)))
    await store.finish(status="interrupted", reason=None)
    attempts = Run.open(root).attempts().sort_values(["trial_id", "attempt"])
    wanted = [(first, 1, "delivered"), (first, 2, "delivered"), (second, 1, "in_doubt"),
              (second, 2, "delivered"), (third, 1, "delivered")]  # fmt: skip
    assert list(
        zip(attempts["trial_id"], attempts["attempt"], attempts["outcome"], strict=True)
    ) == (sorted((intent.trial_id, *rest) for intent, *rest in wanted))
    assert len(Run.open(root).records()) == 3
    assert verify_folder(root).is_sound


class Silent:
    """A coordinator that never answers whether parts are listed."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    async def next_part_number(self) -> int:
        return 1

    async def list_parts(self, sealed: SealedParts) -> str | None:
        self.asked.set()
        return await asyncio.Future()

    async def finish_shards(self, shards: list[Shard]) -> None:
        raise AssertionError("nothing was listed")


@pytest.mark.parametrize("late", [False, True])
async def test_a_worker_s_store_closes_while_a_seal_waits_for_its_listing(
    tmp_path: Path, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the seal comes to ask only while it is closed: closing holds the event loop."""
    opened_at, closing = tmp_path / "run", threading.Event()
    for name in ("records", "attempts", "journal"):
        (opened_at / name).mkdir(parents=True)
    silent = Silent()
    store = ShardStore(
        opened_at,
        opened_at / "journal" / "worker-0001",
        {"s" * 16: SettingColumns("x", ())},
        silent,
    )
    ask = store.seal_scheduler._list

    def wait_and_ask(sealed: SealedParts) -> None:
        silent.asked.set()
        assert closing.wait(60)
        ask(sealed)

    if late:
        monkeypatch.setattr(store.seal_scheduler, "_list", wait_and_ask)
        executor = store.seal_scheduler._executor
        monkeypatch.setattr(executor, "shutdown", _and_then(closing, executor))
    store.start()
    await store.append(result(0))
    sealing = asyncio.create_task(store.seal())
    while not silent.asked.is_set():
        await asyncio.sleep(0)
    store.close()
    with pytest.raises(StorageError, match="run ended"):
        await sealing


def _and_then(closing: threading.Event, executor: Any) -> Any:
    shutdown = executor.shutdown

    def close(*arguments: Any, **named: Any) -> None:
        closing.set()
        shutdown(*arguments, **named)

    return close
