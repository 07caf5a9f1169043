"""One attempt of a batch run, from its admission to its record.

The limiter admits it, the budget reserves its worst case, the intent is made durable, the request
is sent, the result is made durable. Nothing sleeps while it holds a slot of the limiter. Where
other workers have prepared requests meanwhile, a worker whose request has ended sends the first of
them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from evalharness.process import session_clock
from evalharness.records import Intent, Reply, Trial
from evalharness.runner.context import RunContext
from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.loop_lag import LatencyHistogram
from evalharness.runner.pause_times import PauseTimes
from evalharness.runner.queue import Backlog, Job
from evalharness.runner.recorder import AttemptRecorder
from evalharness.runner.run_summary import StopReason
from evalharness.throttle.permit import Permit
from evalharness.throttle.retry_policy import Decision
from evalharness.throttle.waiters import EndpointPaused, LimiterClosed, RequestReturned


class _ReadyAttempt(NamedTuple):
    """An attempt whose intent is durable: only a slot is missing."""

    job: Job
    intent: Intent
    permit: Permit


class AttemptSender:
    """Sends attempts; the one place of a batch run that does.

    Args:
        context: of the run.
        stopping: set once nothing new is to be sent.
        stop: stops the run.
        pauses: when the user let nothing go.

    Attributes:
        commit_wait: how long intents took to become durable.
    """

    def __init__(
        self,
        context: RunContext,
        *,
        stopping: asyncio.Event,
        stop: Callable[[StopReason], None],
        pauses: PauseTimes,
    ) -> None:
        self.commit_wait = LatencyHistogram()
        self._store = context.store
        self._endpoints = context.endpoints
        self._only_endpoint = len(context.endpoints) == 1
        self._budget = context.budget
        self._recorder = AttemptRecorder(context)
        self._stopping = stopping
        self._stop = stop
        self._pauses = pauses
        self._keep_chunk_times = context.plan.config.keep_chunk_times
        self._in_flight = 0

    def record_unasked(self, trial: Trial, reason: str) -> None:
        """Record a trial that cannot be sent; see :meth:`AttemptRecorder.record_unasked`."""
        self._recorder.record_unasked(trial, reason, session_clock.now_ns())

    @property
    def in_flight(self) -> int:
        """Requests on the wire."""
        return self._in_flight

    async def send_job(self, job: Job, backlog: Backlog) -> None:
        """Send one request, once limiter, budget and journal allow it.

        A job that is to be tried again, or cannot be sent at present, goes back into ``backlog``.

        Raises:
            LimiterClosed: the run stops; what was ready is recorded as not sent.
            EvalharnessError: storage fails, or the cost limit is reached.
        """
        endpoint = self._endpoints[job.trial.setting.provider]
        key = job.next_attempt_key
        model = job.trial.setting.model
        worst = self._budget.worst_case(job.trial, job.body)
        try:
            permit = await endpoint.limiter.admit(
                endpoint.estimate_tokens(job),
                reserve=lambda: self._budget.reserve(key, worst, model=model),
                patient=self._only_endpoint,
                early=self._only_endpoint,
            )
        except EndpointPaused as pause:  # other endpoints may admit requests meanwhile
            job.reason = pause.reason
            backlog.put_back(job, time.monotonic() + pause.seconds)
            return
        try:
            intent = job.begin_attempt(
                key, session_clock.now_ns(), in_flight=self._in_flight + 1, reserved=worst
            )
            await self._commit(intent)
            ready: _ReadyAttempt | None = _ReadyAttempt(job, intent, permit)
            waited = await self._wait_for_slot(ready, endpoint)
        except RequestReturned:  # a pause, or a rate limit, that the user set
            permit.release(None)
            job.session_attempts -= 1
            backlog.put_back(job, time.monotonic())
            return
        except BaseException:
            if not permit.transferred:
                permit.release(None)
            raise
        if permit.transferred:
            return
        while ready is not None:
            ready = await self._exchange(endpoint, ready, backlog, waited=waited)
            waited = True

    async def _commit(self, intent: Intent) -> None:
        """Make an intent durable: without that nothing is sent."""
        began = time.perf_counter()
        try:
            await self._store.append(intent)
        except BaseException as error:
            self._recorder.record_uncommitted(intent, error)
            raise
        self.commit_wait.add(time.perf_counter() - began)

    async def _wait_for_slot(self, ready: _ReadyAttempt, endpoint: EndpointRuntime) -> bool:
        """Wait for a slot; False where it had one from the start.

        Another worker may have sent it meanwhile: then its permit is ``transferred``.

        Raises:
            LimiterClosed: the run stops, and the attempt is recorded as not sent.
            RequestReturned: the user lets nothing go, and it is recorded as not sent.
        """
        permit = ready.permit
        try:
            waited = await permit.wait_for_slot(ready)
            # The stop may have come while the intent was being written.
            if self._stopping.is_set() and not permit.transferred:
                raise LimiterClosed
            if endpoint.limiter.is_held and not permit.transferred:
                raise RequestReturned
        except (LimiterClosed, RequestReturned, asyncio.CancelledError):
            if not permit.transferred:
                self._recorder.record_unsent(ready.intent)
            raise
        return waited

    async def _exchange(
        self, endpoint: EndpointRuntime, ready: _ReadyAttempt, backlog: Backlog, *, waited: bool
    ) -> _ReadyAttempt | None:
        """Send a request and settle its reply; returns the prepared attempt to be sent next.

        Raises:
            LimiterClosed: the run stops, and what was ready is recorded as not sent.
        """
        job, intent, permit = ready
        # Time and requests in flight are those of the moment when it is sent.
        at_ns = session_clock.now_ns() if waited else intent.admitted_at_ns
        in_flight = self._in_flight + 1
        intent = structs.replace(intent, admitted_at_ns=at_ns, in_flight=in_flight)
        reply: Reply | None = None
        try:
            reply = await self._complete(endpoint, job, intent)
            decision = permit.decide(
                reply, job.session_attempts, job.session_in_doubt,
                same_error_count=job.failure_count(reply),
            )  # fmt: skip
            self._settle(job, intent, reply, decision, backlog)
            endpoint.learn(job, reply)
        except BaseException:
            permit.release(reply)
            raise
        following: _ReadyAttempt | None = permit.release_to_next(reply)
        if following is None:
            return None
        if self._stopping.is_set():
            self._recorder.record_unsent(following.intent)
            following.permit.release(None)
            raise LimiterClosed
        return following

    async def _complete(self, endpoint: EndpointRuntime, job: Job, intent: Intent) -> Reply:
        self._in_flight += 1
        try:
            return await endpoint.complete(
                job, intent.client_request_id, keep_chunk_times=self._keep_chunk_times
            )
        except asyncio.CancelledError:
            self._recorder.record_cut_off(job, intent)
            raise
        finally:
            self._in_flight -= 1

    def _settle(
        self, job: Job, intent: Intent, reply: Reply, decision: Decision, backlog: Backlog
    ) -> None:
        """Record a reply, and finish the trial, put it back, or stop the run."""
        due_ns, sent_ns = job.scheduled_at_ns, reply.sent_at_ns or intent.admitted_at_ns
        due_ns += self._pauses.overlap_ns(due_ns, sent_ns)
        self._recorder.settle(
            job, intent, reply, decision,
            scheduled_at_ns=due_ns, queue_s=max(0, sent_ns - due_ns) / 1e9,
        )  # fmt: skip
        if decision.final:
            backlog.finish(job.trial, reply)
        elif not decision.stops:
            wait_s = decision.wait_s or 0.0
            job.scheduled_at_ns = session_clock.now_ns() + int(wait_s * 1e9)
            backlog.put_back(job, time.monotonic() + wait_s)
        if decision.stops:
            self._stop(StopReason.from_error(decision.error()))
