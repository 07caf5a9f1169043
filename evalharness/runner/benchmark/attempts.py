"""One attempt of a benchmark: prepared before it is due, sent when it is due.

Reserving its cost, building its body and making its intent durable take milliseconds that must not
come between a request's due time and its sending, so they are done before. An attempt that was
prepared and never sent is recorded as not sent.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

from evalharness.config.models import LoadConfig
from evalharness.records import Intent, Phase, Reply, Trial
from evalharness.runner.context import RunContext
from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.queue import Job
from evalharness.runner.recorder import AttemptRecorder
from evalharness.throttle.clock import Clock
from evalharness.throttle.retry_policy import Decision, RetryPolicy
from evalharness.throttle.waiters import LimiterClosed


class PreparedAttempt(NamedTuple):
    """An attempt whose intent is on disk."""

    job: Job
    intent: Intent


class DueTime(NamedTuple):
    """When a request should be sent, on the monotonic clock, and in which phase."""

    at: float
    phase: Phase


class BenchmarkSender:
    """Prepares and sends attempts; the one place of a benchmark that does.

    Unlike a batch run it does not pause other requests after a 429, nor probe during an outage:
    that would change the load that is being measured.

    Args:
        context: of the run.
        clock: where time comes from.
    """

    def __init__(self, context: RunContext, clock: Clock) -> None:
        self.in_flight = 0
        self._plan = context.plan
        self._store = context.store
        self._endpoints = context.endpoints
        self._budget = context.budget
        self._recorder = AttemptRecorder(context)
        self._clock = clock
        self._policies: dict[str, RetryPolicy] = {}
        self._anchor, self._anchor_ns = clock.monotonic(), clock.now_ns()
        self._freed = asyncio.Event()
        self._open = True
        context.budget.on_freed = self._freed.set

    def open(self) -> None:
        """Begin another measurement."""
        self._open = True

    def close(self) -> None:
        """Prepare nothing more: what waits for budget gets :class:`LimiterClosed`."""
        self._open = False
        self._freed.set()

    def start_schedule(self, load: LoadConfig, anchor: float) -> int:
        """Start a schedule that counts from ``anchor``; returns the anchor as wall clock in ns."""
        limits = structs.replace(self._plan.config.limits, max_attempts=load.max_attempts)
        self._policies = {
            name: RetryPolicy(limits, self._plan.profile(name), clock=self._clock, seed=load.seed)
            for name in self._endpoints
        }
        self._anchor = anchor
        self._anchor_ns = self._clock.now_ns() + round((anchor - self._clock.monotonic()) * 1e9)
        return self._anchor_ns

    async def prepare(self, trial: Trial, measurement: int) -> PreparedAttempt:
        """Prepare a trial's first attempt.

        Raises:
            BudgetReachedError, StorageError: it may not, or cannot, be sent.
        """
        job = Job(trial, self._plan.body(trial), self._clock.now_ns())
        return await self._prepare(job, measurement)

    async def _prepare(self, job: Job, measurement: int) -> PreparedAttempt:
        key = job.next_attempt_key
        reserved = await self._reserve(key, job)
        intent = job.begin_attempt(
            key,
            self._clock.now_ns(),
            in_flight=self.in_flight,
            reserved=reserved,
            measurement=measurement,
        )
        try:
            await self._store.append(intent)
        except BaseException as error:
            self._recorder.record_uncommitted(intent, error)
            raise
        return PreparedAttempt(job, intent)

    async def _reserve(self, key: str, job: Job) -> Decimal | None:
        """Reserve the worst case, waiting for attempts in flight to free room.

        Raises:
            BudgetReachedError: there would be no room even then.
            LimiterClosed: nothing more is prepared.
        """
        trial = job.trial
        worst = self._budget.worst_case(trial, job.body)
        while not self._budget.reserve(key, worst, model=trial.setting.model):
            self._freed.clear()
            await self._freed.wait()
            if not self._open:
                raise LimiterClosed
        return worst

    def discard(self, ready: PreparedAttempt, scheduled: float | None = None) -> None:
        """Record that a prepared attempt was not sent; ``scheduled`` is when it was due."""
        due_ns = None if scheduled is None else self._wall_ns(scheduled)
        self._recorder.record_unsent(ready.intent, due_ns)

    async def send(self, ready: PreparedAttempt, due: DueTime) -> tuple[Reply, Decision]:
        """Send one attempt now and record its outcome; the caller holds a slot for it."""
        job, endpoint = ready.job, self._endpoints[ready.job.trial.setting.provider]
        try:
            permit = await endpoint.limiter.admit(endpoint.estimate_tokens(job))
        except BaseException:
            self.discard(ready, due.at)
            raise
        self.in_flight += 1
        now, now_ns = self._clock.monotonic(), self._clock.now_ns()
        intent = structs.replace(
            ready.intent, admitted_at_ns=now_ns, in_flight=self.in_flight, phase=due.phase
        )
        try:
            reply = await self._complete(endpoint, job, intent)
        except BaseException:
            permit.release(None)
            raise
        finally:
            self.in_flight -= 1
        permit.release(reply)
        policy = self._policies[job.trial.setting.provider]
        decision = policy.decide(
            reply, job.session_attempts, job.session_in_doubt,
            same_error_count=job.failure_count(reply), sent_at=permit.admitted_at,
        )  # fmt: skip
        endpoint.learn(job, reply)
        # The delay is taken from the monotonic clock: the wall clock may be set meanwhile.
        delay_s = now - due.at + max(0, (reply.sent_at_ns or now_ns) - now_ns) / 1e9
        self._recorder.settle(
            job, intent, reply, decision,
            scheduled_at_ns=self._wall_ns(due.at), queue_s=max(0.0, delay_s),
        )  # fmt: skip
        return reply, decision

    async def prepare_retry(self, ready: PreparedAttempt) -> PreparedAttempt:
        """Prepare the next attempt of a trial."""
        assert ready.intent.measurement is not None
        return await self._prepare(ready.job, ready.intent.measurement)

    async def _complete(self, endpoint: EndpointRuntime, job: Job, intent: Intent) -> Reply:
        try:
            return await endpoint.complete(job, intent.client_request_id, keep_chunk_times=True)
        except asyncio.CancelledError:
            self._recorder.record_cut_off(job, intent)
            raise

    def _wall_ns(self, at: float) -> int:
        return self._anchor_ns + round((at - self._anchor) * 1e9)
