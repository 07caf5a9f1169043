"""The loop: N workers take trials from one backlog until it is empty or a stop is decided.

:mod:`.attempts` sends one attempt. A worker does not wait for the sync of its result: the journal
keeps order, so the sync of the next intent, which it must wait for anyway, covers both.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import structs

from evalharness.config.models import LimitsConfig
from evalharness.errors import EvalharnessError, OutOfMemoryError, StorageError
from evalharness.process import session_clock
from evalharness.process.pauses import wait_at_most
from evalharness.records import Trial
from evalharness.runner.attempts import AttemptSender
from evalharness.runner.context import RunContext
from evalharness.runner.conversations import ConversationBacklog
from evalharness.runner.loop_lag import LatencyHistogram, probe_loop
from evalharness.runner.pause_times import PauseTimes
from evalharness.runner.queue import Backlog, Job
from evalharness.runner.resume_limits import restore_limits
from evalharness.runner.run_summary import RunSummary, StopReason
from evalharness.runner.throttle_history import append_history
from evalharness.runner.wait_status import BackoffWaits, WaitStatus, wait_status
from evalharness.store.journal.disk_reserve import expected_answer_bytes
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.waiters import LimiterClosed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With so many trials waiting for another try, no fresh ones are started.
_MAX_WAITING_PER_WORKER = 4
_STATUS_EVERY_S = 1.0


class Runner:
    """Runs what is left of a plan.

    Args:
        context: its store is not yet started.
    """

    def __init__(self, context: RunContext) -> None:
        self._plan = context.plan
        self._store = context.store
        self._endpoints = context.endpoints
        self._progress = context.progress
        self._limits: LimitsConfig = context.plan.config.limits
        self._stopping = asyncio.Event()
        self._finished = False
        self._workers: list[asyncio.Task[None]] = []
        self._loop_lag = LatencyHistogram()
        self.summary = context.summary
        self.summary.planned = len(context.plan)
        self._pauses = PauseTimes()
        self._pause_text: str | None = None
        self._active_workers = self._max_workers = 0
        self._backlog: Backlog | None = None
        self._began = time.monotonic()
        self._attempts = AttemptSender(
            context, stopping=self._stopping, stop=self.stop, pauses=self._pauses
        )
        self._store.on_failure = self._storage_failed
        context.budget.on_freed = self._wake_limiters
        self._backoffs = BackoffWaits()
        self._earlier_throttle = self._store.folder.manifest.throttle

    async def run(self, done: NDArray[np.bool_]) -> RunSummary:
        """Send everything not ``done`` (see :meth:`Plan.done_map`); returns when all is recorded.

        The store stays open: the caller finishes it.
        """
        summary = self.summary
        summary.already_recorded = int(done.sum())
        summary.in_doubt.extend(self._store.recovery.newly_in_doubt)
        remaining = summary.planned - summary.already_recorded
        if remaining:
            restore_limits(self._store.folder.root, self._limiters(), self._limits.max_wait_s)
        return await self.drain(
            self._make_backlog(done if summary.already_recorded else None), remaining
        )

    async def drain(self, backlog: Backlog, limit: int) -> RunSummary:
        """Send everything in a backlog, at most ``limit`` at once; see :meth:`run`."""
        summary, cpu_began = self.summary, time.process_time()
        self._began = time.monotonic()
        self._store.start(
            in_flight=self._limits.concurrency,
            answer_bytes=expected_answer_bytes(self._plan.settings),
        )
        if limit:
            await self._drain(backlog, limit)
        summary.seconds = self.seconds
        summary.cpu_s = time.process_time() - cpu_began
        self._store.note_session(self.session_entry())
        self._finished = True
        return summary

    def stop(self, decision: StopReason) -> None:
        """Start nothing new; what is in flight may finish within ``limits.drain_s``.

        Once all is recorded there is nothing to stop.
        """
        if self._finished:
            return
        self.summary.set_stop(decision)
        self._stopping.set()
        for limiter in self._limiters().values():
            limiter.close()

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        for worker in self._workers:
            worker.cancel()

    def _make_backlog(self, done: NDArray[np.bool_] | None) -> Backlog:
        """What is left of the plan, by endpoint, plus what an earlier process already tried."""
        plan, unfinished = self._plan, self._store.recovery.unfinished
        with_turns, single = plan.conversations.exist, len(self._endpoints) == 1
        draw = plan.first_trials if with_turns else plan.trials
        trials = {n: draw(done, provider=None if single else n) for n in self._endpoints}
        max_waiting = max(1_000, self._limits.concurrency * _MAX_WAITING_PER_WORKER)

        def blocked_for_s(name: str) -> float:
            return self._endpoints[name].limiter.blocked_for_s()

        if not with_turns:
            return Backlog(trials, unfinished, max_waiting=max_waiting, blocked_for_s=blocked_for_s)
        return ConversationBacklog(
            trials,
            unfinished,
            plan=plan,
            recorded=self._store.recorded_answers(plan.answered_turns(done)),
            record_unasked=self._attempts.record_unasked,
            max_waiting=max_waiting,
            blocked_for_s=blocked_for_s,
        )

    # ── changes while it runs ────────────────────────────────────────────────────────────────

    @property
    def seconds(self) -> float:
        """How long it has run, in seconds, without pauses."""
        return time.monotonic() - self._began - self._paused_s()

    @property
    def in_flight(self) -> int:
        """Requests on the wire."""
        return self._attempts.in_flight

    @property
    def paused_since_ns(self) -> int | None:
        """Since when it is paused (Unix nanoseconds); None where it is not."""
        return self._pauses.since_ns

    def pause(self, text: str) -> None:
        """From this call on nothing is sent, until :meth:`resume`; what is in flight goes on.

        ``text`` is what progress shows meanwhile.
        """
        self._pause_text = text
        self._pauses.begin(session_clock.now_ns())
        for limiter in self._limiters().values():
            limiter.hold(text)
        self._progress.set_paused(True)
        self._progress.show_wait(text)

    def resume(self) -> None:
        """Send again."""
        self._pause_text = None
        self._pauses.end(session_clock.now_ns())
        for limiter in self._limiters().values():
            limiter.end_hold()
        self._progress.set_paused(False)
        self._progress.show_wait(None)

    def change_limits(self, limits: LimitsConfig, reason: str) -> None:
        """Let ``concurrency`` and ``rpm`` of other limits hold from now on.

        With a lower concurrency, requests in flight above it end before others are sent.
        """
        for endpoint in self._endpoints.values():
            hint = endpoint.concurrency_hint or limits.concurrency
            most = min(limits.concurrency, hint)
            endpoint.limiter.change_limits(structs.replace(limits, concurrency=most), reason)
        self._max_workers = limits.concurrency + self._spare()
        self._start_workers(self._max_workers - self._active_workers)

    def waiting(self) -> WaitStatus | None:
        """What requests wait for; None where they do not."""
        if self._pause_text is not None:
            return WaitStatus(self._pause_text)
        return wait_status(self._limiters().values(), self._backoffs, time.monotonic())

    def in_flight_limits(self) -> dict[str, int]:
        """Requests that may be in flight now, by endpoint."""
        return {name: limiter.limit for name, limiter in self._limiters().items()}

    def _paused_s(self) -> float:
        now_ns = session_clock.now_ns()
        return self._pauses.overlap_ns(0, now_ns) / 1e9

    # ── workers ──────────────────────────────────────────────────────────────────────────────

    async def _drain(self, backlog: Backlog, remaining: int) -> None:
        self._backlog = backlog
        self._max_workers = self._limits.concurrency + self._spare()
        self._start_workers(min(self._max_workers, remaining))
        all_workers = asyncio.create_task(self._wait_for_workers())
        stopping = asyncio.create_task(self._stopping.wait())
        watch = asyncio.create_task(self._show_status())
        probe = asyncio.create_task(probe_loop(self._loop_lag))
        try:
            await asyncio.wait({all_workers, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not all_workers.done():
                await wait_at_most([all_workers], self._limits.drain_s)
            if not all_workers.done():
                self.abandon()
            outcomes = await all_workers
        finally:
            stopping.cancel()
            watch.cancel()
            probe.cancel()
            self._progress.show_wait(None)
            self._save_throttle_history()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _start_workers(self, count: int) -> None:
        if self._backlog is None or self._stopping.is_set():
            return
        for _ in range(count):
            self._active_workers += 1
            self._workers.append(asyncio.create_task(self._work(self._backlog)))

    async def _wait_for_workers(self) -> list[BaseException | None]:
        """Wait for all workers, those that are started later too; how each has ended."""
        outcomes: list[BaseException | None] = []
        while len(outcomes) < len(self._workers):
            later = self._workers[len(outcomes) :]
            outcomes += await asyncio.gather(*later, return_exceptions=True)
        return outcomes

    def _spare(self) -> int:
        """How many more workers prepare requests while those of others are in flight.

        Several endpoints share the workers, whose number is what limits them together.
        """
        single = len(self._endpoints) == 1
        return sum(limiter.prefetch_size for limiter in self._limiters().values()) if single else 0

    async def _work(self, backlog: Backlog) -> None:
        try:
            # With a lower concurrency there are too many: one after the other ends.
            while not self._stopping.is_set() and self._active_workers <= self._max_workers:
                entry = backlog.take(time.monotonic())
                if entry is None:
                    if not await backlog.wait_for_more():
                        return
                    continue
                job, wait_s = entry
                if wait_s and not await self._pause(job, wait_s):
                    return
                if isinstance(job, Trial):
                    job = backlog.make_job(job, self._plan.body(job), session_clock.now_ns())
                await self._attempts.send_job(job, backlog)
        except LimiterClosed:
            return
        except EvalharnessError as error:  # storage and budget among them
            self.stop(StopReason.from_error(error))
        except MemoryError:
            self.stop(StopReason.from_error(OutOfMemoryError()))
        except BaseException:
            # An unexpected error in one worker must stop the others, too.
            self._stopping.set()
            raise
        finally:
            self._active_workers -= 1

    async def _pause(self, job: Job | Trial, seconds: float) -> bool:
        """Sleep until a job is due unless the run stops meanwhile; False when it does."""
        reason = job.reason if isinstance(job, Job) else ""
        self._backoffs.begin(id(job), time.monotonic() + seconds, reason)
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return True
        finally:
            self._backoffs.end(id(job))
        return False

    def session_entry(self) -> dict[str, Any]:
        """What the manifest keeps of this session."""
        summary = self.summary
        return {
            "seconds": round(summary.seconds, 3),
            "paused_s": round(self._paused_s(), 3),
            "cpu_s": round(summary.cpu_s, 3),
            "sent": summary.sent,
            "recorded": summary.recorded,
            "loop_lag_s": self._loop_lag.as_dict(),
            "commit_wait_s": self._attempts.commit_wait.as_dict(),
        }

    async def _show_status(self) -> NoReturn:
        """Once a second, show what is waited for, and update the throttle history."""
        while True:
            await asyncio.sleep(_STATUS_EVERY_S)
            self._progress.show_wait(*(self.waiting() or (None, None)))
            self._save_throttle_history()

    def _save_throttle_history(self) -> None:
        """Put the history into the manifest, which is saved later."""
        manifest = self._store.folder.manifest
        manifest.throttle = append_history(self._earlier_throttle, self._limiters(), self._limits)

    def _wake_limiters(self) -> None:
        for limiter in self._limiters().values():
            limiter.wake()

    def _limiters(self) -> dict[str, EndpointLimiter]:
        return {name: endpoint.limiter for name, endpoint in self._endpoints.items()}

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(StopReason.from_error(error))
