"""The loop of a batch run: files go out, batches are looked at, results become records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evalharness.batch.cancelling import BatchCanceller
from evalharness.batch.client import BatchClient, CallStopped
from evalharness.batch.open_batch import BatchWork, QueueKey, WorkQueue
from evalharness.batch.polling import BatchPoller
from evalharness.batch.resuming import open_batches
from evalharness.batch.sending import BatchSender
from evalharness.batch.settling import BatchSettler
from evalharness.batch.trials import TrialFinder
from evalharness.batch.waiting_text import describe_wait, with_waiting_batches
from evalharness.errors import EvalharnessError, OutOfMemoryError, StorageError
from evalharness.process.text import plural
from evalharness.records import Trial
from evalharness.runner.context import RunContext
from evalharness.runner.loop import Runner
from evalharness.runner.queue import Backlog
from evalharness.runner.run_summary import RunSummary, StopReason
from evalharness.store.journal.disk_reserve import expected_answer_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGER = 1.5  # each wait is so many times the one before


class BatchedRun:
    """Runs what is left of a plan in batches.

    Args:
        context: its store is not yet started.
        clients: by provider name.
        cancel: cancel the batches that are under way and send nothing.
        key_variables: names of the environment variables with keys, by provider, for messages.
    """

    def __init__(
        self,
        context: RunContext,
        clients: Mapping[str, BatchClient],
        stopping: asyncio.Event,
        *,
        cancel: bool = False,
        key_variables: Mapping[str, str | None] | None = None,
    ) -> None:
        self.summary = context.summary
        self.summary.planned = len(context.plan)
        self._context, self._clients, self._stopping = context, clients, stopping
        self._canceller = BatchCanceller() if cancel else None
        self._execution = context.plan.config.execution
        self._trials = TrialFinder(context.plan, context.store)
        self._settler = BatchSettler(context, self._trials, cancelled=cancel)
        self._sender = BatchSender(context, stopping)
        self._work = BatchWork()
        self._poller = BatchPoller(
            context, self._trials, self._settler, self._sender, self._work, self.stop,
            canceller=self._canceller, key_variables=key_variables or {},
        )  # fmt: skip
        self._live: Runner | None = None
        self._task: asyncio.Task[None] | None = None
        self._next_wait_s = self._execution.poll_s
        self._finished = False
        context.store.on_failure = self._storage_failed

    async def run(self, done: NDArray[np.bool_]) -> RunSummary:
        """Send everything not ``done``, and wait until all is recorded or the run stops.

        The store stays open: the caller finishes it.
        """
        summary, store = self.summary, self._context.store
        began, cpu_began = time.monotonic(), time.process_time()
        summary.already_recorded = int(done.sum())
        summary.in_doubt.extend(store.recovery.newly_in_doubt)
        store.start(answer_bytes=expected_answer_bytes(self._context.plan.settings))
        self._task = asyncio.create_task(self._run(done))
        await asyncio.wait({self._task})
        self._context.progress.show_wait(None)
        self._finished = True
        error = None if self._task.cancelled() else self._task.exception()
        if isinstance(error, MemoryError):
            error = OutOfMemoryError()
        if isinstance(error, EvalharnessError):
            summary.set_stop(StopReason.from_error(error))
        elif error is not None:
            raise error
        summary.stop = with_waiting_batches(
            summary.stop, self._work, cancels=self._canceller is not None
        )
        summary.waiting = sum(len(b.intents) for b in self._work.open if b.may_be_sent)
        summary.seconds = time.monotonic() - began
        summary.cpu_s = time.process_time() - cpu_began
        if self._live is None:
            store.note_session(self._session_entry())
        return summary

    def stop(self, decision: StopReason) -> None:
        """Start nothing new; batches go on at the provider."""
        if self._finished:
            return
        self.summary.set_stop(decision)
        self._stopping.set()
        if self._live is not None:
            self._live.stop(decision)

    def abandon(self) -> None:
        """Do not wait for the call that is going on."""
        if self._live is not None:
            self._live.abandon()
        elif self._task is not None:
            self._task.cancel()

    # ── the loop ─────────────────────────────────────────────────────────────────────────────

    async def _run(self, done: NDArray[np.bool_]) -> None:
        work = self._work
        work.open += await open_batches(self._context, self._clients, self._trials, self._settler)
        if self._canceller is None:
            waiting = {i.trial_id for batch in work.open for i in batch.intents.values()}
            work.queues |= {key: self._queue(key, done, waiting) for key in self._keys()}
        try:
            await self._loop()
        except CallStopped:
            return
        if self._canceller is not None:
            self.stop(self._canceller.stop_reason())
        elif work.live and not self._stopping.is_set():
            await self._ask_live()

    async def _loop(self) -> None:
        work = self._work
        await self._look()  # what an earlier session left may have ended long ago
        while not self._stopping.is_set():
            await self._fill()
            if not work.open or self._stopping.is_set():
                break
            if await self._wait():
                await self._look()
        if not work.open and self._sender.budget_error is not None:
            self.stop(StopReason.from_error(self._sender.budget_error))

    async def _look(self) -> None:
        if await self._poller.look(self._stopping.is_set):
            self._next_wait_s = self._execution.poll_s

    def _keys(self) -> list[QueueKey]:
        settings = self._context.plan.settings
        return list(dict.fromkeys(QueueKey(s.provider, s.model) for s in settings))

    def _queue(self, key: QueueKey, done: NDArray[np.bool_], waiting: set[str]) -> WorkQueue:
        def fresh() -> Iterator[Trial]:
            some = done if done.any() else None
            for trial in self._context.plan.trials(some, provider=key.provider):
                if trial.setting.model == key.model and trial.trial_id not in waiting:
                    yield trial

        return WorkQueue(key, fresh(), self._trials.fresh_job)

    async def _fill(self) -> None:
        """Send every file that can be sent now."""
        work = self._work
        if work.stuck:
            return
        for key, queue in work.queues.items():
            client = self._clients[key.provider]
            while len(work.open) < self._execution.max_batches and not self._stopping.is_set():
                batch = await self._sender.prepare(queue, client, work.open)
                if batch is None:
                    break
                work.open.append(batch)
                self._next_wait_s = self._execution.poll_s
                await self._poller.send(batch)

    async def _wait(self) -> bool:
        """Wait until the next look is due; False when the run stops meanwhile."""
        seconds, self._next_wait_s = (
            self._next_wait_s,
            min(self._execution.max_poll_s, self._next_wait_s * _LONGER),
        )
        if any(batch.state.batch_id is None for batch in self._work.visible):
            seconds = min(seconds, self._execution.poll_s)
        self._context.progress.show_wait(describe_wait(self._work.visible, seconds))
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return True
        return False

    # ── afterwards ───────────────────────────────────────────────────────────────────────────

    async def _ask_live(self) -> None:
        """Send what batches did not answer as single requests."""
        jobs, plan = self._work.live, self._context.plan
        self._say(f"{plural(len(jobs), 'request')} not answered in batches, now sent one by one")
        self._live = Runner(self._context)
        names = self._context.endpoints
        backlog = Backlog({name: iter(()) for name in names}, {}, max_waiting=len(jobs) + 1)
        for job in jobs:
            job.body = plan.body(job.trial)
            backlog.put_back(job, time.monotonic())
        await self._live.drain(backlog, len(jobs))

    def _session_entry(self) -> dict[str, Any]:
        summary = self.summary
        return {
            "seconds": round(summary.seconds, 3),
            "cpu_s": round(summary.cpu_s, 3),
            "sent": summary.sent,
            "recorded": summary.recorded,
        }

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(StopReason.from_error(error))

    def _say(self, text: str) -> None:
        self._context.progress.print_line(text)
