"""One attempt of a batch run, from the leave to send it to its record.

The throttle admits it, the money guard sets its worst case aside, the intent is made durable, the
request is sent, the result is made durable. Nothing sleeps while it holds a place in the throttle.
Where others have made their requests ready meanwhile, a worker whose request has ended sends the
first of them at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import structs

from evalharness.records import Intent, Reply
from evalharness.runner.budget import Money
from evalharness.runner.endpoint import Lane
from evalharness.runner.loop_lag import Lateness
from evalharness.runner.queue import Backlog, Job
from evalharness.runner.recorder import Recorder
from evalharness.runner.run_summary import Stop
from evalharness.store.folder.writer import RunStore
from evalharness.throttle.limiter import Permit
from evalharness.throttle.retry import Decision
from evalharness.throttle.waiters import Held, Stopped


class _Ready(NamedTuple):
    """An attempt whose intent is durable: only a slot is missing."""

    job: Job
    intent: Intent
    permit: Permit


class Attempts:
    """Makes attempts; the one place of a batch run that sends.

    Args:
        store: where intents go.
        lanes: one per provider name.
        money: reservations.
        recorder: told what became of each attempt.
        stopping: set once nothing new is to be sent.
        stop: stops the run.
        keep_chunk_times: whether to note when each chunk of a streamed answer came.

    Attributes:
        commit_wait: how long intents took to become durable.
    """

    def __init__(
        self,
        store: RunStore,
        lanes: Mapping[str, Lane],
        *,
        money: Money,
        recorder: Recorder,
        stopping: asyncio.Event,
        stop: Callable[[Stop], None],
        keep_chunk_times: bool,
    ) -> None:
        self.commit_wait = Lateness()
        self._store = store
        self._lanes = lanes
        self._alone = len(lanes) == 1
        self._money = money
        self._recorder = recorder
        self._stopping = stopping
        self._stop = stop
        self._keep_chunks = keep_chunk_times
        self._in_flight = 0

    async def make(self, job: Job, backlog: Backlog) -> None:
        """Send one request, once throttle, money and journal have all said yes.

        What is to be tried again, or cannot go at present, goes back into ``backlog``.

        Raises:
            Stopped: the run stops; what was ready is recorded as not sent.
            EvalharnessError: storage fails, or the money limit is reached.
        """
        lane = self._lanes[job.trial.setting.provider]
        key = job.next_key
        model = job.trial.setting.model
        worst = self._money.worst_case(job.trial, job.body)
        try:
            permit = await lane.gate.admit(
                lane.tokens(job),
                take=lambda: self._money.reserve(key, worst, model=model),
                patient=self._alone,
                early=self._alone,
            )
        except Held as held:  # other endpoints can be asked meanwhile
            job.reason = held.reason
            backlog.put_back(job, time.monotonic() + held.seconds)
            return
        try:
            intent = job.begin(key, time.time_ns(), in_flight=self._in_flight + 1, reserved=worst)
            await self._commit(intent)
            ready: _Ready | None = _Ready(job, intent, permit)
            waited = await self._slot(ready)
        except BaseException:
            if not permit.carried:
                permit.done(None)
            raise
        if permit.carried:
            return
        while ready is not None:
            ready = await self._exchange(lane, ready, backlog, waited=waited)
            waited = True

    async def _commit(self, intent: Intent) -> None:
        """Make an intent durable: without that nothing is sent."""
        began = time.perf_counter()
        try:
            await self._store.append(intent)
        except BaseException as error:
            self._recorder.uncommitted(intent, error)
            raise
        self.commit_wait.add(time.perf_counter() - began)

    async def _slot(self, ready: _Ready) -> bool:
        """Wait for a slot; False where it had one from the start.

        Somebody whose request had ended may have sent it meanwhile: then it is ``carried``.

        Raises:
            Stopped: the run stops, and the attempt is recorded as not sent.
        """
        permit = ready.permit
        try:
            waited = await permit.slot(ready)
            if self._stopping.is_set() and not permit.carried:  # while the intent was being written
                raise Stopped
        except (Stopped, asyncio.CancelledError):
            if not permit.carried:
                self._recorder.unsent(ready.intent)
            raise
        return waited

    async def _exchange(
        self, lane: Lane, ready: _Ready, backlog: Backlog, *, waited: bool
    ) -> _Ready | None:
        """Send a request and settle its reply; what is to be sent next, where something is ready.

        Raises:
            Stopped: the run stops, and what was ready is recorded as not sent.
        """
        job, intent, permit = ready
        # As it is now that it goes: the moment, and the number of those on the wire.
        at_ns = time.time_ns() if waited else intent.admitted_at_ns
        in_flight = self._in_flight + 1
        intent = structs.replace(intent, admitted_at_ns=at_ns, in_flight=in_flight)
        reply: Reply | None = None
        try:
            reply = await self._send(lane, job, intent)
            decision = permit.decide(reply, job.tries, job.doubts, kind_so_far=job.failures(reply))
            self._settle(job, intent, reply, decision, backlog)
            lane.learn(job, reply)
        except BaseException:
            permit.done(reply)
            raise
        following: _Ready | None = permit.hand_on(reply)
        if following is None:
            return None
        if self._stopping.is_set():
            self._recorder.unsent(following.intent)
            following.permit.done(None)
            raise Stopped
        return following

    async def _send(self, lane: Lane, job: Job, intent: Intent) -> Reply:
        self._in_flight += 1
        try:
            return await lane.client.complete(
                job.body, intent.client_request_id, keep_chunk_times=self._keep_chunks
            )
        except asyncio.CancelledError:
            self._recorder.cut_off(job, intent)
            raise
        finally:
            self._in_flight -= 1

    def _settle(
        self, job: Job, intent: Intent, reply: Reply, decision: Decision, backlog: Backlog
    ) -> None:
        """Record a reply, and finish the trial, put it back, or stop the run."""
        due_ns, sent_ns = job.scheduled_at_ns, reply.sent_at_ns or intent.admitted_at_ns
        self._recorder.settle(
            job, intent, reply, decision,
            scheduled_at_ns=due_ns, queue_s=max(0, sent_ns - due_ns) / 1e9,
        )  # fmt: skip
        if decision.final:
            backlog.finished(job.trial)
        elif not decision.stops:
            wait_s = decision.wait_s or 0.0
            job.scheduled_at_ns = time.time_ns() + int(wait_s * 1e9)
            backlog.put_back(job, time.monotonic() + wait_s)
        if decision.stops:
            self._stop(Stop.because(decision.error()))
