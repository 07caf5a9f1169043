"""One attempt of a benchmark: made ready before it is due, sent when it is, timed from both.

Money, body and the durable intent take milliseconds that must not stand between a request's due
time and its sending, so they are done ahead. What was made ready and never sent is recorded as
not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

from evalharness.config.models import LoadConfig
from evalharness.planning.plan import Plan
from evalharness.records import Intent, Phase, Reply, Trial
from evalharness.runner.budget import Money
from evalharness.runner.endpoint import Lane
from evalharness.runner.progress import Progress
from evalharness.runner.queue import Job
from evalharness.runner.recorder import Recorder
from evalharness.runner.run_summary import Summary
from evalharness.store.folder.writer import RunStore
from evalharness.throttle.clock import Clock
from evalharness.throttle.limiter import Stopped
from evalharness.throttle.retry import Decision, RetryPolicy


class Ready(NamedTuple):
    """An attempt whose intent is on disk."""

    job: Job
    intent: Intent


class Due(NamedTuple):
    """When a request should go, on the monotonic clock, and what it is sent for."""

    at: float
    phase: Phase


class Attempts:
    """Prepares and sends; the one place of a benchmark that talks to money, journal and server.

    Unlike batch evaluation it does not heed what a reply means for others: a pause after a 429, or
    the probes of an outage, would change the load that is being measured.

    Args:
        plan: what to ask.
        store: where intents and results go.
        lanes: one per provider name.
        money: reservations and costs.
        progress: told about everything that happens.
        clock: where time comes from.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        lanes: Mapping[str, Lane],
        *,
        money: Money,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.summary = Summary()
        self.in_flight = 0
        self._plan = plan
        self._store = store
        self._lanes = lanes
        self._money = money
        self._recorder = Recorder(store, money=money, progress=progress, summary=self.summary)
        self._clock = clock
        self._policies: dict[str, RetryPolicy] = {}
        self._anchor, self._anchor_ns = clock.monotonic(), clock.now_ns()
        self._freed = asyncio.Event()
        self._open = True
        money.on_freed = self._freed.set

    def open(self) -> None:
        """Another measurement begins."""
        self._open = True

    def close(self) -> None:
        """Nothing more is made ready: whoever waits for money gets :class:`Stopped`."""
        self._open = False
        self._freed.set()

    def begin(self, load: LoadConfig, anchor: float) -> int:
        """Start a measurement whose schedule counts from ``anchor``; its wall clock in ns."""
        limits = structs.replace(self._plan.config.limits, max_attempts=load.max_attempts)
        self._policies = {
            name: RetryPolicy(limits, self._plan.profile(name), clock=self._clock, seed=load.seed)
            for name in self._lanes
        }
        self._anchor = anchor
        self._anchor_ns = self._clock.now_ns() + round((anchor - self._clock.monotonic()) * 1e9)
        return self._anchor_ns

    async def prepare(self, trial: Trial, measurement: int) -> Ready:
        """Make a trial's first attempt ready.

        Raises:
            BudgetReachedError, StorageError: it may not, or cannot, be sent.
        """
        job = Job(trial, self._plan.body(trial), self._clock.now_ns())
        return await self._prepare(job, measurement)

    async def _prepare(self, job: Job, measurement: int) -> Ready:
        key = job.next_key
        reserved = await self._reserve(key, job)
        intent = job.begin(
            key,
            self._clock.now_ns(),
            in_flight=self.in_flight,
            reserved=reserved,
            measurement=measurement,
        )
        try:
            await self._store.append(intent)
        except BaseException as error:
            self._recorder.uncommitted(intent, error)
            raise
        return Ready(job, intent)

    async def _reserve(self, key: str, job: Job) -> Decimal | None:
        """Set the worst case aside, waiting for what is in flight to free room.

        Raises:
            BudgetReachedError: there would be no room even then.
            Stopped: nothing more is made ready.
        """
        trial = job.trial
        worst = self._money.worst_case(trial, job.body)
        while not self._money.reserve(key, worst, model=trial.setting.model):
            self._freed.clear()
            await self._freed.wait()
            if not self._open:
                raise Stopped
        return worst

    def discard(self, ready: Ready, scheduled: float | None = None) -> None:
        """Record that an attempt made ready was not sent; ``scheduled`` when it was due."""
        due_ns = None if scheduled is None else self._wall(scheduled)
        self._recorder.unsent(ready.intent, due_ns)

    async def send(self, ready: Ready, due: Due) -> tuple[Reply, Decision]:
        """Send one attempt now and record what came of it; the caller holds a place for it."""
        job, lane = ready.job, self._lanes[ready.job.trial.setting.provider]
        try:
            permit = await lane.gate.admit(lane.tokens(job))
        except BaseException:
            self.discard(ready, due.at)
            raise
        self.in_flight += 1
        now, wall = self._clock.monotonic(), self._clock.now_ns()
        intent = structs.replace(
            ready.intent, admitted_at_ns=wall, in_flight=self.in_flight, phase=due.phase
        )
        try:
            reply = await self._post(lane, job, intent)
        except BaseException:
            permit.done(None)
            raise
        finally:
            self.in_flight -= 1
        permit.done(reply)
        policy = self._policies[job.trial.setting.provider]
        decision = policy.decide(
            reply, job.tries, job.doubts,
            kind_so_far=job.failures(reply), sent_at=permit.admitted_at,
        )  # fmt: skip
        lane.learn(job, reply)
        # How late it went is taken from the monotonic clock: the wall clock may be set meanwhile.
        late = now - due.at + max(0, (reply.sent_at_ns or wall) - wall) / 1e9
        self._recorder.settle(
            job, intent, reply, decision,
            scheduled_at_ns=self._wall(due.at), queue_s=max(0.0, late),
        )  # fmt: skip
        return reply, decision

    async def again(self, ready: Ready) -> Ready:
        """Make the next attempt of a trial ready."""
        assert ready.intent.measurement is not None
        return await self._prepare(ready.job, ready.intent.measurement)

    async def _post(self, lane: Lane, job: Job, intent: Intent) -> Reply:
        try:
            return await lane.client.complete(
                job.body, intent.client_request_id, keep_chunk_times=True
            )
        except asyncio.CancelledError:
            self._recorder.cut_off(job, intent)
            raise

    def _wall(self, at: float) -> int:
        return self._anchor_ns + round((at - self._anchor) * 1e9)
