"""Recovers the journals of workers that have ended: in the shared folder or on their own disks."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evalharness.distributed.journal_merge import (
    MergedJournal,
    drop_sealed_attempts,
    earlier_attempts,
    merge_entries,
    merge_journal,
)
from evalharness.distributed.leases import JournalLocation, LeaseLedger, possible_intents
from evalharness.distributed.messages import ShardHistory
from evalharness.distributed.part_upload import StoreParts
from evalharness.distributed.shard_board import Shard
from evalharness.errors import RunInUseError, StorageError
from evalharness.planning.plan import Plan
from evalharness.process import session_clock
from evalharness.records import AttemptResult, Trial
from evalharness.runner.budget import RunBudget
from evalharness.runner.run_summary import RunSummary
from evalharness.store.folder import durable_files
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal import worker_journals
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.journal.journal_format import FILE_NAME
from evalharness.store.parts.part_files import read_sealed
from evalharness.store.parts.setting_columns import columns_by_setting
from evalharness.store.parts.to_arrow import attempt_table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class ClusterNodes(Protocol):
    """The machines of a cluster."""

    def alive(self) -> list[str]:
        """Nodes that answer."""
        ...

    async def read_journal(self, node: str, folder: str) -> dict[str, bytes] | None:
        """See :func:`read_journal`; None where the node is lost.

        Raises:
            RunInUseError: the worker is alive.
            StorageError: the node is alive, and the journal cannot be read.
        """
        ...

    async def discard(self, node: str, folder: str) -> None:
        """Remove a journal that was recovered; nothing where the node is lost.

        Raises:
            StorageError: the node is alive, and does not answer.
        """
        ...


class RecoveredWork(NamedTuple):
    """What was recovered from a worker.

    Attributes:
        results: its own attempts that were in its journal and in no part.
        parts: that it had made and nobody had listed yet.
    """

    results: list[AttemptResult]
    parts: list[str]


class WorkerRecovery:
    """Recovers journals, and knows which trials are done.

    Args:
        plan: of the run.
        store: of the driver; not yet started.
        nodes: where journals on workers' own disks are.
        leases: the shards of each worker; None where journals are in the shared folder.
        budget: knows the worst case of an attempt.
        summary: gets the attempts in doubt.
        uploaded: parts that workers upload themselves; None where they are in the run folder.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        nodes: ClusterNodes,
        leases: LeaseLedger | None,
        budget: RunBudget,
        summary: RunSummary,
        uploaded: StoreParts | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._nodes = nodes
        self._leases = leases
        self._budget = budget
        self._summary = summary
        self._uploaded = uploaded
        self._settings = columns_by_setting(plan.settings)
        self.manifest_lock = asyncio.Lock()  # hold it to change the manifest
        self.earlier = earlier_attempts(store)
        # By position: trial_id, and attempts in a part whose records were never written.
        self._tried: dict[int, tuple[str, UnfinishedTrial]] = {}

    def done(self) -> NDArray[np.bool_]:
        """Which trials of the plan have their record."""
        return self._plan.done_map(self._store.done_keys())

    def shard_histories(self, shards: Sequence[Shard]) -> list[ShardHistory]:
        """What is known of the shards of a lost worker, after :meth:`recover`."""
        import numpy as np

        done = self.done() if shards else np.zeros(0, dtype=np.bool_)
        histories: list[ShardHistory] = []
        for shard in shards:
            flags = self._plan.recorded_at(done, *shard)
            earlier = {
                trial: results
                for trial, results in self.earlier.items()
                if shard.start <= results[-1].intent.position < shard.stop
            }
            tried = dict(
                entry for at, entry in self._tried.items() if shard.start <= at < shard.stop
            )
            histories.append(ShardHistory(np.packbits(flags).tobytes(), earlier, tried))
        return histories

    async def recover(self, name: str) -> RecoveredWork:
        """Recover the journal of a worker that has ended, if there is one.

        Raises:
            RunInUseError: it is alive.
            StorageError: the disk refused, or the journal's node does.
        """
        async with self.manifest_lock:
            listed = {part.path for part in self._store.folder.manifest.parts}
            location = None if self._leases is None else self._leases.journals.get(name)
            node = None if location is None else await self._fetch(name, location)
            # Without a shard there was nothing to send.
            is_lost = node is None and self._leases is not None and name in self._leases.shards
            journal = self._store.folder.journal_folder / name
            merged_journals: list[MergedJournal] = []
            if journal.exists():
                if self._uploaded is not None and self._leases is not None:  # its open seal
                    parts = self._leases.parts.get(name, ())
                    await asyncio.to_thread(self._uploaded.fetch_existing, parts)
                may_be_repeated = location is not None  # by an earlier session
                merged_journals.append(
                    await merge_journal(
                        self._store,
                        journal,
                        self._settings,
                        self.earlier,
                        may_be_repeated=may_be_repeated,
                    )
                )
            if is_lost:
                merged_journals.append(await self._mark_in_doubt(name))
            if self._leases is not None:
                await asyncio.to_thread(self._leases.close_worker, name)
            if location is not None and node is not None:
                # Only after its entries are settled: a kill in between would put them in doubt.
                with suppress(StorageError):  # no session reads it again
                    await self._nodes.discard(node, location.folder)
            parts = [part.path for part in self._store.folder.manifest.parts]
        for merged in merged_journals:
            self._summary.in_doubt.extend(merged.in_doubt)
        return RecoveredWork(
            [result for merged in merged_journals for result in merged.results],
            [path for path in parts if path not in listed],
        )

    async def recover_all(self) -> bool:
        """Recover all journals there are; returns whether there were any."""
        folders = self._store.folder.journal_folder.glob("worker-*/")
        names = {journal.name for journal in folders}
        names |= set() if self._leases is None else {*self._leases.journals}
        for name in sorted(names):
            await self.recover(name)
        return bool(names)

    def attempts(self, parts: Collection[str], results: list[AttemptResult]) -> pa.Table:
        """Attempts in ``parts`` and ``results``, which are in no part, as one table."""
        import pyarrow as pa

        root = self._store.folder.root
        sealed = [read_sealed(root / part) for part in parts if part.startswith("attempts/")]
        return pa.concat_tables([attempt_table(results), *sealed])

    async def _fetch(self, name: str, location: JournalLocation) -> str | None:
        """Copy a journal from its disk into the shared folder; returns the node that had it."""
        for node in (location.node, *(n for n in self._nodes.alive() if n != location.node)):
            files = await self._nodes.read_journal(node, location.folder)
            if files:
                await asyncio.to_thread(self._save_journal, name, files)
                return node
        return None

    def _save_journal(self, name: str, files: dict[str, bytes]) -> None:
        folder = self._store.folder.journal_folder / name
        durable_files.make_folder(folder)
        # The write-ahead log first: without the main file the folder is not taken for a journal.
        for file in sorted(files, key=lambda file: file == FILE_NAME):
            durable_files.write_bytes_durably(folder / file, files[file])
        durable_files.sync_folder(folder.parent)

    async def _mark_in_doubt(self, name: str) -> MergedJournal:
        """A journal is lost: trials of its worker that are in no part may have been sent."""
        assert self._leases is not None
        shards = self._leases.shards.get(name, ())
        empty: list[tuple[str, int]] = []
        if self._uploaded is not None:  # the worker may live, and must upload nothing any more
            numbers = self._leases.parts.get(name, ())
            empty = await asyncio.to_thread(self._uploaded.shut_out, numbers)
        # A part may have its final name already, and the worker that would list it is lost.
        ours = self._part_filter(shards)
        listed = await asyncio.to_thread(
            worker_journals.list_unlisted_parts,
            self._store.folder,
            self._settings,
            trial_filter=ours,
        )
        if self._uploaded is not None:
            await asyncio.to_thread(self._uploaded.list_empty, empty)
        done, unfinished = self.done(), self._store.recovery.unfinished
        trials = [
            trial
            for start, stop in shards
            for trial in self._plan.trials(done, start=start, stop=stop)
        ]
        await self._note_tried(
            [t for t in trials if t.trial_id in listed.unfinished], listed.unfinished
        )
        intents = possible_intents(
            (trial for trial in trials if trial.trial_id not in listed.unfinished),
            lambda trial: unfinished[trial].attempts if trial in unfinished else 0,
            lambda trial: self._budget.worst_case(trial, self._plan.body(trial)),
            session_clock.now_ns(),
        )
        entries = {(intent.trial_id, intent.attempt, False): intent for intent in intents}
        return await merge_entries(self._store, dict(entries), self.earlier)

    def _part_filter(self, shards: Sequence[Shard]) -> worker_journals.TrialFilter:
        """A function that says whether a part has trials of these shards."""

        @cache
        def trial_ids() -> set[str]:
            return {
                trial.trial_id
                for start, stop in shards
                for trial in self._plan.trials(start=start, stop=stop)
            }

        return lambda trials: not trial_ids().isdisjoint(trials)

    async def _note_tried(self, trials: Sequence[Trial], tried: dict[str, UnfinishedTrial]) -> None:
        """Note trials whose attempts are in a part and whose records were never written."""
        for trial in trials:
            state = self._store.recovery.unfinished[trial.trial_id] = tried[trial.trial_id]
            self._tried[trial.position] = trial.trial_id, state
            self.earlier.pop(trial.trial_id, None)
        await drop_sealed_attempts(self._store, {trial.trial_id for trial in trials})


def read_journal(folder: str) -> dict[str, bytes] | None:
    """Files of a journal on this machine, {} where there is none, None while its worker lives.

    Nobody writes to it meanwhile: its lock is held.
    """
    path = Path(folder)
    if not (path / FILE_NAME).exists():
        return {}
    try:
        with worker_journals.hold_lock(path):
            names = (FILE_NAME, f"{FILE_NAME}-wal")
            return {n: (path / n).read_bytes() for n in names if (path / n).exists()}
    except RunInUseError:
        return None


def discard_journal(folder: str) -> None:
    """Remove a journal on this machine."""
    shutil.rmtree(folder, ignore_errors=True)
