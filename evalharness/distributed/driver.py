"""The driver of a run on several workers: has them started, lists their parts, replaces the dead.

It sends nothing itself. What it knows beside the run folder it could read there again: when the
coordinator is lost, workers drain, and another round begins from the folder; when the driver
itself is killed, the same command does the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from evalharness.distributed.driver_summary import add_ended, session_of, throttle_of
from evalharness.distributed.journal_merge import drop_handed_over
from evalharness.distributed.leases import Leases, fingerprint
from evalharness.distributed.messages import (
    CoordinatorLostError,
    Counted,
    Ended,
    Failed,
    Lease,
    Seal,
)
from evalharness.distributed.progress_counters import Rates
from evalharness.distributed.round_setup import Task, setup_of, work_of
from evalharness.distributed.shard_board import Shard
from evalharness.distributed.worker_pool import Crew
from evalharness.distributed.worker_recovery import Estate
from evalharness.errors import EXIT_STORAGE, StorageError
from evalharness.records import Outcome
from evalharness.runner.budget import Money
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import Stop, Summary
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts import seal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.distributed.actors import Cluster

_LISTEN_S = 0.5
_MOST_ROUNDS = 5


class Driver:
    """Runs what is left of a plan on workers.

    Args:
        task: what to run.
        store: opened, its plan saved, not yet started.
        cluster: where actors run.
        progress: told what all workers do together.
    """

    def __init__(self, task: Task, store: RunStore, cluster: Cluster, progress: Progress) -> None:
        self._task = task
        self._plan = task.plan
        self._store = store
        self._cluster = cluster
        self._progress = progress
        self._execution = task.plan.config.execution
        self._coordinator: Any = None
        self._parts: dict[str, list[str]] = {}  # that each of them sealed
        self._background: set[asyncio.Task[Any]] = set()
        self._rates = Rates(time.monotonic())
        self._ended: list[Ended] = []
        self._throttle_before = store.folder.manifest.throttle
        self.summary = Summary(planned=len(task.plan))
        folder = store.folder.journal_folder
        self._leases = (
            None if self._execution.journal_dir is None else Leases(folder, fingerprint(task.plan))
        )
        money = Money(None, task.prices)
        self._crew = Crew(cluster, self._execution, store.folder.root, self._leases)
        self._estate = Estate(self._plan, store, cluster, self._leases, money, self.summary)
        store.on_failure = self._storage_failed

    async def run(self, done: NDArray[np.bool_]) -> Summary:
        """Send everything not ``done``; the store stays open, for the caller to finish."""
        summary, began = self.summary, time.monotonic()
        summary.already_recorded = int(done.sum())
        summary.in_doubt.extend(self._store.recovered.newly_in_doubt)
        self._store.start()
        await (
            self._store.seal()
        )  # what an earlier session left, so that parts are counted from here
        self._store.recovered.finals.clear()
        if await self._estate.adopt_rest():  # journals on workers' own disks
            done = self._estate.done()
        manifest = self._store.folder.manifest
        recorded, statuses = manifest.recorded, Counter(manifest.by_status)
        for _ in range(_MOST_ROUNDS):
            lost = await self._round(done)
            try:
                await self._estate.adopt_rest()
            except StorageError as error:
                self._storage_failed(error)
            if not lost or summary.stop is not None:
                break
            self._progress.say("the coordinator was lost: going on with another one")
            done = self._estate.done()
        else:
            self.stop(Stop("coordinators were lost again and again", EXIT_STORAGE))
        await drop_handed_over(self._store, set(self._estate.earlier))
        finals = self._store.recovered.finals
        summary.recorded = manifest.recorded - recorded + len(finals)
        summary.by_status = Counter(manifest.by_status)
        summary.by_status.subtract(statuses)
        summary.by_status.update(final.reply.status.value for final in finals)
        summary.seconds = time.monotonic() - began
        self._store.note_session(session_of(summary, self._ended, self._execution.workers))
        return summary

    def stop(self, decision: Stop) -> None:
        """Let nobody start anything new; the first decision stays, but for a failing disk."""
        self.summary.decide(decision)
        if self._coordinator is not None:
            self._later(self._cluster.call(self._coordinator, "stop", decision))

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        self._crew.abandon()

    # ── a round: one coordinator ─────────────────────────────────────────────────────────────

    async def _round(self, done: NDArray[np.bool_]) -> bool:
        """Work with one coordinator until all is done or stopped; whether it was lost."""
        setup = setup_of(self._task, self._store, done, ledger=self._leases is not None)
        work = work_of(self._task, self._store, done, self._estate.earlier)
        self._coordinator = self._cluster.start_coordinator(setup)
        self._crew.serve(self._coordinator, work)
        running = dict(self._crew.start() for _ in range(self._execution.workers))
        listening = asyncio.create_task(self._listen())
        if self.summary.stop is not None:
            self.stop(self.summary.stop)
        lost = False
        try:
            while running:
                watched = {*running} if lost else {*running, listening}
                ended, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                if listening in ended:
                    lost = _is_lost(listening)
                for task in ended - {listening}:
                    name = running.pop(task)
                    if await self._worker_ended(name, task.result(), lost):
                        running.update([self._crew.start()])
            if not lost:
                await self._hear()
                await self._note_throttle()
        except CoordinatorLostError:
            lost = True
            if running:
                for task in (await asyncio.wait({*running}))[0]:
                    await self._worker_ended(running[task], task.result(), lost)
        finally:
            listening.cancel()
            await asyncio.gather(listening, *self._background, return_exceptions=True)
            coordinator, self._coordinator = self._coordinator, None
            self._cluster.end(coordinator)
        return lost

    async def _worker_ended(self, name: str, how: Ended | Failed | None, lost: bool) -> bool:
        """Take over what a worker leaves; whether another one must take its place."""
        actor = self._crew.leave(name)
        if isinstance(how, Failed):
            self.stop(Stop(how.message, how.exit_code, hint=how.hint))
        if isinstance(how, Ended):
            self._add(how)
            return False
        if how is None:
            self._progress.say(f"{name} is lost")
        self._cluster.end(actor)
        shards: list[Shard] = []
        if not lost:
            shards = await self._cluster.call(self._coordinator, "gone", name)
        try:
            left = await self._estate.adopt(name)
        except StorageError as error:  # it stays where it is: the others end, a resume takes it
            self._storage_failed(error)
            return False
        outcomes = [result.reply.outcome for result in left.results]
        self.summary.sent += len(outcomes) - outcomes.count(Outcome.NOT_SENT)
        parts = {*self._parts.pop(name, []), *left.parts}
        if lost:
            return False
        spent = Decimal(0)
        if self._plan.config.limits.max_cost_usd is not None:
            spent = self._task.spent_in(self._estate.attempts(parts, left.results))
        known = self._estate.known(shards)
        await self._cluster.call(self._coordinator, "again", name, known, spent)
        if how is not None:
            return False
        if (hopeless := self._crew.lost_another()) is not None:
            self.stop(hopeless)
        return self.summary.stop is None

    def _add(self, ended: Ended) -> None:
        self._ended.append(ended)
        add_ended(self.summary, ended)
        if ended.stop is not None and ended.lost is None:
            self.stop(ended.stop)

    # ── listening ────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        while True:
            await self._hear(_LISTEN_S)

    async def _hear(self, wait_s: float = 0.0) -> None:
        heard = await self._cluster.call(self._coordinator, "heard", wait_s)
        if heard.leases:
            refused = await self._lease(heard.leases)
            numbers = [lease.number for lease in heard.leases]
            await self._cluster.call(self._coordinator, "listed", numbers, refused)
        for one in heard.seals:
            refused = await self._list(one)
            await self._cluster.call(self._coordinator, "listed", [one.number], refused)
        if heard.stop is not None and self.summary.stop is None:
            self.summary.stop = heard.stop
        self._show(heard.counted)

    async def _lease(self, leases: Sequence[Lease]) -> str | None:
        assert self._leases is not None
        try:
            await asyncio.to_thread(self._leases.lease, leases)
        except StorageError as error:
            self._storage_failed(error)
            return error.message
        return None

    async def _list(self, one: Seal) -> str | None:
        async with self._estate.listing:
            try:
                await asyncio.to_thread(seal.list_parts, self._store.folder, one.sealed)
                mine = self._parts.setdefault(one.worker, [])
                mine += [part.path for part in one.sealed.parts]
            except StorageError as error:
                self._storage_failed(error)
                return error.message
        return None

    def _show(self, counted: Mapping[str, Counted]) -> None:
        for one in counted.values():
            if one.finished:
                self._crew.progressed()
            self._progress.counted(
                finished=one.finished,
                failed=one.failed,
                tokens=one.tokens,
                cost_usd=one.cost_usd,
                unknown=one.unknown,
            )
        if counted:
            self._progress.working(self._rates.told(counted, self._crew.names, time.monotonic()))
            waits = [c.waiting for c in counted.values() if c.waiting is not None]
            self._progress.waiting(*(waits[0] if waits else (None, None)))

    async def _note_throttle(self) -> None:
        """Put the history where the last save of the manifest takes it along."""
        told = await self._cluster.call(self._coordinator, "history")
        limits = self._plan.config.limits
        self._store.folder.manifest.throttle = throttle_of(self._throttle_before, told, limits)

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(Stop.because(error))

    def _later(self, call: Any) -> None:
        task = asyncio.ensure_future(call)
        self._background.add(task)
        task.add_done_callback(self._heard_of)

    def _heard_of(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # that the coordinator is gone is noticed by whoever listens to it


def _is_lost(listening: asyncio.Task[None]) -> bool:
    """Whether listening ended because the coordinator did; any other error is raised."""
    error = listening.exception()
    if error is not None and not isinstance(error, CoordinatorLostError):
        raise error
    return True
