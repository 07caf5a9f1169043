"""The loop: N workers draw trials from one backlog until there is none or a stop is decided.

What one attempt is stands in :mod:`.attempts`. A worker does not wait for its result's sync: the
next intent's sync, which it must wait for anyway, covers both, because the journal keeps order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from evalharness.config.models import LimitsConfig
from evalharness.errors import EvalharnessError, StorageError
from evalharness.planning.plan import Plan
from evalharness.records import Trial
from evalharness.runner.attempts import Attempts
from evalharness.runner.budget import Money
from evalharness.runner.endpoint import Lane
from evalharness.runner.loop_lag import Lateness, probe_loop
from evalharness.runner.progress import Progress
from evalharness.runner.queue import Backlog, Job
from evalharness.runner.recorder import Recorder
from evalharness.runner.resume_limits import recall
from evalharness.runner.run_summary import Stop, Summary
from evalharness.runner.throttle_history import with_history
from evalharness.runner.wait_status import Backoffs, waiting_for
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.disk_reserve import answer_bytes
from evalharness.throttle.limiter import Gate
from evalharness.throttle.waiters import Stopped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With so many trials waiting for another try, starting fresh ones only piles up more.
_MOST_WAITING_PER_WORKER = 4
_WATCH_EVERY_S = 1.0


class Runner:
    """Runs what is left of a plan.

    Args:
        plan: what to ask.
        store: where it goes; opened, its plan saved, not yet started.
        lanes: one per provider name.
        money: reservations and costs.
        progress: told about everything that happens.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        lanes: Mapping[str, Lane],
        *,
        money: Money,
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._store = store
        self._lanes = lanes
        self._progress = progress
        self._limits: LimitsConfig = plan.config.limits
        self._stopping = asyncio.Event()
        self._over = False
        self._workers: list[asyncio.Task[None]] = []
        self._loop_lag = Lateness()
        self.summary = Summary(planned=len(plan))
        self._attempts = Attempts(
            store,
            lanes,
            money=money,
            recorder=Recorder(store, money=money, progress=progress, summary=self.summary),
            stopping=self._stopping,
            stop=self.stop,
            keep_chunk_times=plan.config.keep_chunk_times,
        )
        store.on_failure = self._storage_failed
        money.on_freed = self._look_again
        self._backoffs = Backoffs()
        self._throttle_before = store.folder.manifest.throttle

    async def run(self, done: NDArray[np.bool_]) -> Summary:
        """Send everything not ``done`` (see :meth:`Plan.done_map`); returns when all is recorded.

        The store stays open: the caller finishes it.
        """
        summary = self.summary
        summary.already_recorded = int(done.sum())
        summary.in_doubt.extend(self._store.recovered.newly_in_doubt)
        left = summary.planned - summary.already_recorded
        if left:
            recall(self._store.folder.root, self._gates(), self._limits.max_wait_s)
        return await self.work_off(self._backlog(done if summary.already_recorded else None), left)

    async def work_off(self, backlog: Backlog, most: int) -> Summary:
        """Send what a backlog hands out, at most ``most`` at once; see :meth:`run`."""
        summary, began, cpu = self.summary, time.monotonic(), time.process_time()
        self._store.start(
            in_flight=self._limits.concurrency, answer_bytes=answer_bytes(self._plan.settings)
        )
        if most:
            await self._work_off(backlog, most)
        summary.seconds = time.monotonic() - began
        summary.cpu_s = time.process_time() - cpu
        self._store.note_session(self.session())
        self._over = True
        return summary

    def stop(self, decision: Stop) -> None:
        """Start nothing new; what is in flight may finish within ``limits.drain_s``.

        Once all is recorded there is nothing to stop.
        """
        if self._over:
            return
        self.summary.decide(decision)
        self._stopping.set()
        for gate in self._gates().values():
            gate.close()

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        for worker in self._workers:
            worker.cancel()

    def _backlog(self, done: NDArray[np.bool_] | None) -> Backlog:
        """What is left of the plan, by endpoint, plus what an earlier process already tried."""
        only = len(self._lanes) == 1
        return Backlog(
            {n: self._plan.trials(done, provider=None if only else n) for n in self._lanes},
            self._store.recovered.unfinished,
            most_waiting=max(1_000, self._limits.concurrency * _MOST_WAITING_PER_WORKER),
            held=lambda name: self._lanes[name].gate.held_s(),
        )

    # ── workers ──────────────────────────────────────────────────────────────────────────────

    async def _work_off(self, backlog: Backlog, left: int) -> None:
        count = min(self._limits.concurrency + self._spare(), left)
        self._workers = [asyncio.create_task(self._work(backlog)) for _ in range(count)]
        everything = asyncio.gather(*self._workers, return_exceptions=True)
        stopping = asyncio.create_task(self._stopping.wait())
        watch = asyncio.create_task(self._watch())
        probe = asyncio.create_task(probe_loop(self._loop_lag))
        try:
            await asyncio.wait({everything, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not everything.done():
                await asyncio.wait({everything}, timeout=self._limits.drain_s)
            if not everything.done():
                self.abandon()
            outcomes = await everything
        finally:
            stopping.cancel()
            watch.cancel()
            probe.cancel()
            self._progress.waiting(None)
            self._note_throttle()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _spare(self) -> int:
        """Workers that make intents durable while the others' requests are on the wire.

        Several endpoints share the workers, whose number is what limits them together.
        """
        only = len(self._lanes) == 1
        return sum(gate.spare for gate in self._gates().values()) if only else 0

    async def _work(self, backlog: Backlog) -> None:
        try:
            while not self._stopping.is_set():
                taken = backlog.take(time.monotonic())
                if taken is None:
                    if not await backlog.more():
                        return
                    continue
                job, wait_s = taken
                if wait_s and not await self._pause(job, wait_s):
                    return
                if isinstance(job, Trial):
                    job = backlog.adopt(job, self._plan.body(job), time.time_ns())
                await self._attempts.make(job, backlog)
        except Stopped:
            return
        except EvalharnessError as error:  # storage and budget among them
            self.stop(Stop.because(error))
        except BaseException:
            # A defect in one worker must not let the others go on as if nothing had happened.
            self._stopping.set()
            raise

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

    def session(self) -> dict[str, Any]:
        """What the manifest keeps of this session."""
        summary = self.summary
        return {
            "seconds": round(summary.seconds, 3),
            "cpu_s": round(summary.cpu_s, 3),
            "sent": summary.sent,
            "recorded": summary.recorded,
            "loop_lag_s": self._loop_lag.figures(),
            "commit_wait_s": self._attempts.commit_wait.figures(),
        }

    async def _watch(self) -> NoReturn:
        """Once a second: say what is waited for, and note what the throttle did."""
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            gates = self._gates().values()
            wait = waiting_for(gates, self._backoffs, time.monotonic())
            self._progress.waiting(*(wait or (None, None)))
            self._note_throttle()

    def _note_throttle(self) -> None:
        """Put the history where every save of the manifest takes it along."""
        manifest = self._store.folder.manifest
        manifest.throttle = with_history(self._throttle_before, self._gates(), self._limits)

    def _look_again(self) -> None:
        for gate in self._gates().values():
            gate.wake()

    def _gates(self) -> dict[str, Gate]:
        return {name: lane.gate for name, lane in self._lanes.items()}

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(Stop.because(error))
