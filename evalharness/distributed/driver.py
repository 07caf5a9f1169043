"""The driver of a run on several workers: starts them, lists their parts, replaces lost ones.

It sends nothing itself. Everything it knows is also in the run folder. When the coordinator is
lost, workers drain, and another round begins from the folder; when the driver itself is killed, the
same command does the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from evalharness.distributed.driver_summary import add_worker, session_entry, throttle_history
from evalharness.distributed.journal_merge import drop_sealed_attempts
from evalharness.distributed.leases import LeaseLedger, plan_fingerprint
from evalharness.distributed.messages import (
    CoordinatorLostError,
    CounterDelta,
    Lease,
    SealReport,
    WorkerDone,
    WorkerFailed,
)
from evalharness.distributed.part_upload import StoreParts
from evalharness.distributed.progress_counters import WorkerRates
from evalharness.distributed.round_setup import DistributedTask, coordinator_setup, worker_setup
from evalharness.distributed.shard_board import Shard
from evalharness.distributed.worker_pool import WorkerPool
from evalharness.distributed.worker_recovery import WorkerRecovery
from evalharness.errors import EXIT_STORAGE, StorageError
from evalharness.records import Outcome
from evalharness.runner.budget import RunBudget
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import RunSummary, StopReason
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.distributed.actors import Cluster

_UPDATE_WAIT_S = 0.5
_MAX_ROUNDS = 5


class Driver:
    """Runs what is left of a plan on workers.

    Args:
        task: what to run.
        store: opened, its plan saved, not yet started.
        cluster: where actors run.
        progress: shows the counts of all workers together.
    """

    def __init__(
        self, task: DistributedTask, store: RunStore, cluster: Cluster, progress: Progress
    ) -> None:
        self._task = task
        self._plan = task.plan
        self._store = store
        self._cluster = cluster
        self._progress = progress
        self._execution = task.plan.config.execution
        self._coordinator: Any = None
        self._parts: dict[str, list[str]] = {}  # listed parts, by worker
        self._background: set[asyncio.Task[Any]] = set()
        self._rates = WorkerRates(time.monotonic())
        self._results: list[WorkerDone] = []
        self._earlier_throttle = store.folder.manifest.throttle
        self.summary = RunSummary(planned=len(task.plan))
        self._leases = None
        if self._execution.journal_dir is not None:
            self._leases = LeaseLedger(store.folder.journal_folder, plan_fingerprint(task.plan))
        part_tokens = {name: profile.part_tokens for name, profile in task.profiles.items()}
        budget = RunBudget(None, task.prices, part_tokens=part_tokens)
        sync = store.folder.sync
        self._uploaded = None
        if sync is not None and self._leases is not None:
            self._uploaded = StoreParts(store.folder, sync)
        self._pool = WorkerPool(cluster, self._execution, store.folder.root, self._leases)
        self._recovery = WorkerRecovery(
            self._plan, store, cluster, self._leases, budget, self.summary, self._uploaded
        )
        store.on_failure = self._storage_failed

    async def run(self, done: NDArray[np.bool_]) -> RunSummary:
        """Send everything not ``done``; the store stays open, for the caller to finish."""
        summary, began = self.summary, time.monotonic()
        summary.already_recorded = int(done.sum())
        summary.in_doubt.extend(self._store.recovery.newly_in_doubt)
        self._store.start()
        if self._uploaded is not None and self._leases is not None:
            # Uploaded by workers that are not settled: their numbers must not be taken again.
            numbers = [n for parts in self._leases.parts.values() for n in parts]
            await asyncio.to_thread(self._uploaded.fetch_existing, numbers)
        await self._store.seal()  # records of an earlier session, before counting starts
        self._store.recovery.finals.clear()
        if await self._recovery.recover_all():  # journals on workers' own disks
            await self._store.seal()  # they are of an earlier session, too
            self._store.recovery.finals.clear()
            done = self._recovery.done()
            summary.already_recorded = int(done.sum())
        manifest = self._store.folder.manifest
        recorded, statuses = manifest.recorded, Counter(manifest.by_status)
        await self._rounds(done)
        await drop_sealed_attempts(self._store, set(self._recovery.earlier))
        finals = self._store.recovery.finals
        summary.recorded = manifest.recorded - recorded + len(finals)
        summary.by_status = Counter(manifest.by_status)
        summary.by_status.subtract(statuses)
        summary.by_status.update(final.reply.status.value for final in finals)
        summary.seconds = time.monotonic() - began
        self._store.note_session(session_entry(summary, self._results, self._execution.workers))
        return summary

    def stop(self, decision: StopReason) -> None:
        """Let no worker start anything new; the first decision stays, unless the disk fails."""
        self.summary.set_stop(decision)
        if self._coordinator is not None:
            self._call_in_background(self._cluster.call(self._coordinator, "stop", decision))

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        self._pool.abandon()

    # ── a round: one coordinator ─────────────────────────────────────────────────────────────

    async def _rounds(self, done: NDArray[np.bool_]) -> None:
        """Work with one coordinator after the other until one of them is not lost."""
        for _ in range(_MAX_ROUNDS):
            coordinator_lost = await self._round(done)
            try:
                await self._recovery.recover_all()
            except StorageError as error:
                self._storage_failed(error)
            if not coordinator_lost or self.summary.stop is not None:
                return
            self._progress.print_line("the coordinator was lost: going on with another one")
            done = self._recovery.done()
        self.stop(StopReason("coordinators were lost again and again", EXIT_STORAGE))

    async def _round(self, done: NDArray[np.bool_]) -> bool:
        """Work with one coordinator until all is done or stopped; returns whether it was lost."""
        has_ledger = self._leases is not None
        setup = coordinator_setup(self._task, self._store, done, has_ledger=has_ledger)
        self._coordinator = self._cluster.start_coordinator(setup)
        self._pool.set_round(
            self._coordinator, worker_setup(self._task, self._store, done, self._recovery.earlier)
        )
        running = dict(self._pool.start() for _ in range(self._execution.workers))
        updates = asyncio.create_task(self._process_updates())
        if self.summary.stop is not None:
            self.stop(self.summary.stop)
        coordinator_lost = False
        try:
            while running:
                watched = {*running} if coordinator_lost else {*running, updates}
                ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                if updates in ended:
                    coordinator_lost = _is_lost(updates)
                for task in ended - {updates}:
                    name = running.pop(task)
                    if await self._worker_ended(name, task.result(), coordinator_lost):
                        running.update([self._pool.start()])
            if not coordinator_lost:
                await self._process_update()
                await self._save_throttle_history()
        except CoordinatorLostError:
            coordinator_lost = True
            if running:
                for task in (await asyncio.wait({*running}))[0]:
                    await self._worker_ended(running[task], task.result(), coordinator_lost)
        finally:
            updates.cancel()
            await asyncio.gather(updates, *self._background, return_exceptions=True)
            coordinator, self._coordinator = self._coordinator, None
            self._cluster.kill(coordinator)
        return coordinator_lost

    async def _worker_ended(
        self, name: str, result: WorkerDone | WorkerFailed | None, coordinator_lost: bool
    ) -> bool:
        """Recover the work of a worker; returns whether another one must take its place."""
        actor = self._pool.remove(name)
        if isinstance(result, WorkerFailed):
            self.stop(StopReason(result.message, result.exit_code, hint=result.hint))
        if isinstance(result, WorkerDone):
            self._add_result(result)
            return False
        if result is None:
            self._progress.print_line(f"{name} is lost")
        self._cluster.kill(actor)
        shards: list[Shard] = []
        if not coordinator_lost:
            shards = await self._cluster.call(self._coordinator, "remove_worker", name)
        try:
            work = await self._recovery.recover(name)
        except StorageError as error:  # all stays where it is, for the next session
            self._storage_failed(error)
            return False
        outcomes = [attempt.reply.outcome for attempt in work.results]
        self.summary.sent += len(outcomes) - outcomes.count(Outcome.NOT_SENT)
        parts = {*self._parts.pop(name, []), *work.parts}
        if coordinator_lost:
            return False
        committed_usd = Decimal(0)
        if self._plan.config.limits.max_cost_usd is not None:
            committed_usd = self._task.committed_in(self._recovery.attempts(parts, work.results))
        histories = self._recovery.shard_histories(shards)
        await self._cluster.call(self._coordinator, "requeue", name, histories, committed_usd)
        if result is not None:
            return False
        if (too_many := self._pool.count_loss()) is not None:
            self.stop(too_many)
        return self.summary.stop is None

    def _add_result(self, result: WorkerDone) -> None:
        self._results.append(result)
        add_worker(self.summary, result)
        if result.stop is not None and result.lost_reason is None:
            self.stop(result.stop)

    # ── updates from the coordinator ─────────────────────────────────────────────────────────

    async def _process_updates(self) -> None:
        while True:
            await self._process_update(_UPDATE_WAIT_S)

    async def _process_update(self, wait_s: float = 0.0) -> None:
        update = await self._cluster.call(self._coordinator, "next_update", wait_s)
        if update.leases:
            refusal = await self._record_leases(update.leases)
            numbers = [lease.number for lease in update.leases]
            await self._cluster.call(self._coordinator, "answer", numbers, refusal)
        for report in update.seals:  # a store may be slow; leases are not to wait for it
            self._call_in_background(self._answer_seal(self._coordinator, report))
        if update.stop is not None and self.summary.stop is None:
            self.summary.stop = update.stop
        self._show_progress(update.counters)

    async def _record_leases(self, leases: Sequence[Lease]) -> str | None:
        assert self._leases is not None
        try:
            await asyncio.to_thread(self._leases.record_leases, leases)
        except StorageError as error:
            self._storage_failed(error)
            return error.message
        return None

    async def _answer_seal(self, coordinator: Any, report: SealReport) -> None:
        try:
            refusal = await self._list_parts(report)
        except Exception as error:  # the worker waits for an answer
            refusal = f"parts cannot be listed: {error!r}"
            self._storage_failed(StorageError(refusal))
        await self._cluster.call(coordinator, "answer", [report.number], refusal)

    async def _list_parts(self, report: SealReport) -> str | None:
        if self._uploaded is not None:
            try:
                await asyncio.to_thread(self._uploaded.fetch, report.sealed.parts)
            except StorageError as error:
                self._storage_failed(error)
                return error.message
        async with self._recovery.manifest_lock:
            try:
                await asyncio.to_thread(seal.list_parts, self._store.folder, report.sealed)
                parts = self._parts.setdefault(report.worker, [])
                parts += [part.path for part in report.sealed.parts]
            except StorageError as error:
                self._storage_failed(error)
                return error.message
        return None

    def _show_progress(self, counters: Mapping[str, CounterDelta]) -> None:
        for delta in counters.values():
            if delta.finished:
                self._pool.reset_losses()
            self._progress.count_worker(
                finished=delta.finished,
                failed=delta.failed,
                tokens=delta.tokens,
                cost_usd=delta.cost_usd,
                unknown=delta.unknown,
            )
        if counters:
            text = self._rates.update(counters, self._pool.names, time.monotonic())
            self._progress.show_workers(text)
            waits = [delta.waiting for delta in counters.values() if delta.waiting is not None]
            self._progress.show_wait(*(waits[0] if waits else (None, None)))

    async def _save_throttle_history(self) -> None:
        """Put the history into the manifest, which is saved later."""
        histories = await self._cluster.call(self._coordinator, "concurrency_history")
        limits = self._plan.config.limits
        self._store.folder.manifest.throttle = throttle_history(
            self._earlier_throttle, histories, limits
        )

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(StopReason.from_error(error))

    def _call_in_background(self, call: Any) -> None:
        task = asyncio.ensure_future(call)
        self._background.add(task)
        task.add_done_callback(self._call_ended)

    def _call_ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # a lost coordinator is noticed by the task that gets its updates


def _is_lost(updates: asyncio.Task[None]) -> bool:
    """Whether a task ended because the coordinator is lost; any other error is raised."""
    error = updates.exception()
    if error is not None and not isinstance(error, CoordinatorLostError):
        raise error
    return True
