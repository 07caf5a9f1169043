"""The loop: N workers draw trials from one backlog until there is none or a stop is decided.

For one attempt: the throttle admits it, the money guard sets its worst case aside, the intent is
made durable, the request is sent, the result is made durable. A worker does not wait for its
result's sync: the next intent's sync, which it must wait for anyway, covers both, because the
journal keeps order. Nothing sleeps while it holds a place in the throttle. Where others have made
their requests ready meanwhile, a worker whose request has ended sends the first of them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from msgspec import structs

from evalharness.config import LimitsConfig
from evalharness.errors import EXIT_STORAGE, EvalharnessError, StorageError
from evalharness.plan import Plan
from evalharness.progress import Progress
from evalharness.records import AttemptResult, Intent, Outcome, Reply, Trial
from evalharness.runner.backlog import Backlog, Job
from evalharness.runner.before import recall
from evalharness.runner.history import with_history
from evalharness.runner.lateness import Lateness, probe_loop
from evalharness.runner.money import Money
from evalharness.runner.outcome import Stop, Summary
from evalharness.runner.waiting import Backoffs, waiting_for
from evalharness.store.recovery import interrupted
from evalharness.store.reserve import answer_bytes
from evalharness.store.writer import RunStore
from evalharness.throttle.estimate import OutputEstimate
from evalharness.throttle.gate import Gate, Permit
from evalharness.throttle.line import Held, Stopped
from evalharness.throttle.retry import Decision
from evalharness.wire.client import ChatClient

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With so many trials waiting for another try, starting fresh ones only piles up more.
_MOST_WAITING_PER_WORKER = 4
_WATCH_EVERY_S = 1.0


class Lane(NamedTuple):
    """One endpoint: how to talk to it, when, and how long its answers are."""

    client: ChatClient
    gate: Gate
    estimate: OutputEstimate


class _Ready(NamedTuple):
    """An attempt whose intent is durable: only a slot is missing."""

    job: Job
    intent: Intent
    permit: Permit


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
        self._money = money
        self._progress = progress
        self._limits: LimitsConfig = plan.config.limits
        self._keep_chunks = plan.config.keep_chunk_times
        self._stopping = asyncio.Event()
        self._in_flight = 0
        self._over = False
        self._workers: list[asyncio.Task[None]] = []
        self._loop_lag, self._commit_wait = Lateness(), Lateness()
        self.summary = Summary(planned=len(plan))
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

        The first decision stays, except that a failure of local storage is always told. Once all
        is recorded there is nothing to stop.
        """
        if self._over:
            return
        if self.summary.stop is None or decision.exit_code == EXIT_STORAGE:
            self.summary.stop = decision
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
                await self._attempt(job, backlog)
        except Stopped:
            return
        except EvalharnessError as error:  # storage and budget among them
            self.stop(Stop(error.message, error.exit_code, hint=error.hint))
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

    async def _attempt(self, job: Job, backlog: Backlog) -> None:
        """Send one request, once throttle, money and journal have all said yes."""
        lane = self._lanes[job.trial.setting.provider]
        key = f"{job.trial.trial_id}.{job.attempt + 1}"
        model = job.trial.setting.model
        worst = self._money.worst_case(job.trial, job.body)
        try:
            permit = await lane.gate.admit(
                _tokens(lane, job),
                take=lambda: self._money.reserve(key, worst, model=model),
                patient=len(self._lanes) == 1,
                early=len(self._lanes) == 1,
            )
        except Held as held:  # other endpoints can be asked meanwhile
            job.reason = held.reason
            backlog.put_back(job, time.monotonic() + held.seconds)
            return
        try:
            intent = self._intent(job, key, worst)
            await self._commit(intent, key)
            ready = await self._slot(_Ready(job, intent, permit))
        except BaseException:
            if not permit.carried:
                permit.done(None)
            raise
        while ready is not None:
            ready = await self._exchange(lane, ready, backlog)

    async def _exchange(self, lane: Lane, ready: _Ready, backlog: Backlog) -> _Ready | None:
        """Send a request and settle its reply; what is to be sent next, where something is ready.

        Raises:
            Stopped: the run stops, and what was ready is recorded as not sent.
        """
        job, intent, permit = ready
        reply: Reply | None = None
        try:
            reply = await self._send(lane.client, job, intent)
            decision = permit.decide(reply, job.tries, job.doubts, kind_so_far=job.failures(reply))
            self._settle(job, intent, reply, decision, backlog)
            if lane.gate.counts_tokens:
                lane.estimate.observe(_task(job), len(job.body), reply.usage)
        except BaseException:
            permit.done(reply)
            raise
        following: _Ready | None = permit.hand_on(reply)
        if following is None:
            return None
        if self._stopping.is_set():
            self._unsent(following.intent)
            following.permit.done(None)
            raise Stopped
        return self._going(following, waited=True)

    async def _commit(self, intent: Intent, key: str) -> None:
        """Make an intent durable: without that nothing is sent."""
        began = time.perf_counter()
        try:
            await self._store.append(intent)
        except asyncio.CancelledError:
            self._unsent(intent)
            raise
        except BaseException:
            self._money.cancel(key)
            raise
        self._commit_wait.add(time.perf_counter() - began)

    async def _slot(self, ready: _Ready) -> _Ready | None:
        """Wait for a slot; None where somebody whose request had ended has sent it meanwhile.

        Raises:
            Stopped: the run stops, and the attempt is recorded as not sent.
        """
        permit = ready.permit
        try:
            waited = await permit.slot(ready)
            if permit.carried:
                return None
            if self._stopping.is_set():  # while the intent was being written
                raise Stopped
        except (Stopped, asyncio.CancelledError):
            if not permit.carried:
                self._unsent(ready.intent)
            raise
        return self._going(ready, waited=waited)

    def _going(self, ready: _Ready, *, waited: bool) -> _Ready:
        """The same with the moment it goes, and the number of those on the wire then."""
        intent, in_flight = ready.intent, self._in_flight + 1
        at_ns = time.time_ns() if waited else intent.admitted_at_ns
        intent = structs.replace(intent, admitted_at_ns=at_ns, in_flight=in_flight)
        return ready._replace(intent=intent)

    async def _send(self, client: ChatClient, job: Job, intent: Intent) -> Reply:
        self._in_flight += 1
        try:
            return await client.complete(
                job.body, intent.client_request_id, keep_chunk_times=self._keep_chunks
            )
        except asyncio.CancelledError:
            doubt = interrupted(intent)
            self._money.settle(intent, job.trial, doubt.reply)
            job.sent = self.summary.count_attempt(doubt.reply.outcome, job.sent)
            self.summary.in_doubt.append(intent)
            self._abandoned(doubt)
            raise
        finally:
            self._in_flight -= 1

    def _intent(self, job: Job, key: str, reserved: Decimal | None) -> Intent:
        trial = job.trial
        job.attempt += 1
        job.tries += 1
        return Intent(
            trial_id=trial.trial_id,
            prompt_id=trial.prompt.prompt_id,
            setting_id=trial.setting.setting_id,
            repeat=trial.repeat,
            position=trial.position,
            attempt=job.attempt,
            client_request_id=f"evh-{key}",
            admitted_at_ns=time.time_ns(),
            in_flight=self._in_flight + 1,
            reserved_usd=reserved,
        )

    def _settle(
        self, job: Job, intent: Intent, reply: Reply, decision: Decision, backlog: Backlog
    ) -> None:
        """Record a reply, and finish the trial, put it back, or stop the run."""
        cost = self._money.settle(intent, job.trial, reply)
        sent_at = reply.sent_at_ns or intent.admitted_at_ns
        result = AttemptResult(
            intent=intent,
            reply=reply,
            final=decision.final,
            scheduled_at_ns=job.scheduled_at_ns,
            queue_s=max(0, sent_at - job.scheduled_at_ns) / 1e9,
            body=job.body if decision.final else None,
            in_doubt_before=job.in_doubt,
            wait_s=decision.wait_s,
        )
        job.sent = self.summary.count_attempt(reply.outcome, job.sent)
        self._append(result)
        self.summary.count_usage(reply)
        self._progress.attempted(reply, cost)
        if reply.outcome is Outcome.IN_DOUBT:
            job.doubted()
            self.summary.in_doubt.append(intent)
        if decision.final:
            self.summary.count(reply)
            self._progress.finished(reply)
            backlog.finished(job.trial)
        elif not decision.stops:
            wait_s = decision.wait_s or 0.0
            job.failed(reply, decision.reason)
            job.scheduled_at_ns = time.time_ns() + int(wait_s * 1e9)
            backlog.put_back(job, time.monotonic() + wait_s)
        if decision.stops:
            error = decision.error()
            self.stop(Stop(error.message, error.exit_code, hint=error.hint))

    def _append(self, result: AttemptResult) -> None:
        try:
            self._store.put(result)
        except StorageError:
            self.summary.unsaved += 1
            raise

    def _unsent(self, intent: Intent) -> None:
        """A stop came between deciding to send and sending: the journal must know of it."""
        self._money.cancel(f"{intent.trial_id}.{intent.attempt}")
        self._abandoned(interrupted(intent, sent=False))

    def _abandoned(self, result: AttemptResult) -> None:
        """Record an attempt nobody waits for; where that fails, its intent alone tells of it."""
        with suppress(StorageError):
            self._store.put(result)

    def session(self) -> dict[str, Any]:
        """What the manifest keeps of this session."""
        summary = self.summary
        return {
            "seconds": round(summary.seconds, 3),
            "cpu_s": round(summary.cpu_s, 3),
            "sent": summary.sent,
            "recorded": summary.recorded,
            "loop_lag_s": self._loop_lag.figures(),
            "commit_wait_s": self._commit_wait.figures(),
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

    # ── stopping ─────────────────────────────────────────────────────────────────────────────

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(Stop(error.message, EXIT_STORAGE, hint=error.hint))


def _task(job: Job) -> str:
    """What output lengths are learned by: they differ between settings."""
    return job.trial.setting.setting_id


def _tokens(lane: Lane, job: Job) -> int:
    """About how many tokens a job takes from the token budget; 0 where there is none."""
    if not lane.gate.counts_tokens:
        return 0
    return lane.estimate.total(_task(job), len(job.body), _cap(job))


def _cap(job: Job) -> int | None:
    value = job.trial.prompt.params.get("max_tokens") or job.trial.setting.params.get("max_tokens")
    return value if isinstance(value, int) else None
