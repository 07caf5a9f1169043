"""The gate of one endpoint: a request passes when every limit lets it, in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from evalharness.config.models import LimitsConfig, Profile
from evalharness.records import Reply
from evalharness.throttle.blocking import Hold, Holds
from evalharness.throttle.clock import Clock
from evalharness.throttle.concurrency import LimitRecord, concurrency_of, signal_of
from evalharness.throttle.endpoint_rates import Rates
from evalharness.throttle.output_token_estimate import tokens_used
from evalharness.throttle.permit import Permit
from evalharness.throttle.ready_queue import Prepared
from evalharness.throttle.retry import Decision, RetryPolicy
from evalharness.throttle.slots import Slots
from evalharness.throttle.token_bucket import Reservation
from evalharness.throttle.waiters import (
    NO_MONEY,
    NO_SLOT,
    Block,
    Held,
    SentBefore,
    Stopped,
    Waiter,
    WaitState,
)


class Gate:
    """Admits requests to one endpoint.

    A request passes when the endpoint is not paused, a slot is free, and both rates have room;
    all is taken at that moment and nothing before, so whoever gives up waiting leaves no trace.
    Only the head of the queue is ever looked at: order of arrival is order of admission.

    Args:
        name: the endpoint, for messages.
        limits: concurrency, rpm, tpm and what the retry policy needs.
        profile: what differs between providers.
        clock: where time comes from.
        rng_seed: of the backoff's jitter.
        address: where the endpoint is, for messages.
    """

    def __init__(
        self,
        name: str,
        limits: LimitsConfig,
        profile: Profile,
        clock: Clock,
        rng_seed: int = 0,
        *,
        address: str = "",
    ) -> None:
        now = clock.monotonic()
        self.name = name
        self.policy = RetryPolicy(limits, profile, clock=clock, seed=rng_seed, address=address)
        self._clock = clock
        self._epoch_ns = clock.now_ns() - round(now * 1e9)
        self._rates = Rates(limits, profile)
        self._holds = Holds(self.policy.outage)
        self._slots = Slots(concurrency_of(limits, now), self._holds)
        # Rates count a request from its admission, which must then be the moment when it goes.
        allowed = not self._rates.limited
        self.prepared = Prepared(self._slots, self._holds, clock, allowed=allowed)
        self._queue: deque[Waiter] = deque()
        self._was_out = False
        self._stopped: Stopped | None = None

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._slots.in_flight

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._slots.concurrency.limit

    @property
    def spare(self) -> int:
        """How many requests may be admitted early beyond the limit (see :meth:`admit`).

        None where rates are limited: they count a request from its admission, which must then
        be the moment when it goes.
        """
        return self.prepared.spare

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a token limit, which :meth:`admit` needs an estimate for."""
        return self._rates.counts_tokens

    @property
    def closed(self) -> bool:
        """Whether nothing new is admitted."""
        return self._stopped is not None

    @property
    def history(self) -> list[LimitRecord]:
        """The concurrency limits there were, by wall clock, oldest first (see :class:`History`)."""
        return self._slots.concurrency.history.records(self._epoch_ns)

    @property
    def history_omitted(self) -> int:
        """How many changes of a long history are not in :attr:`history`."""
        return self._slots.concurrency.history.omitted

    @property
    def memory_s(self) -> float:
        """How long a request counts against a limit, in seconds; 0.0 without limits."""
        return self._rates.memory_s

    def recall(self, sent: Iterable[SentBefore]) -> None:
        """Count what an earlier process sent, so that starting anew exceeds no limit.

        Call it before the first :meth:`admit`. A moment in the future (a clock that was set back)
        counts as now.
        """
        moments = (((s.at_ns - self._epoch_ns) / 1e9, s.tokens) for s in sent)
        self._rates.recall(moments, self._clock.monotonic())

    async def admit(
        self,
        tokens_estimate: int = 0,
        *,
        take: Callable[[], bool] | None = None,
        patient: bool = True,
        early: bool = False,
    ) -> Permit:
        """Wait until one request of about that many tokens may go.

        Args:
            tokens_estimate: prompt and output.
            take: takes what the request needs beside this endpoint (money), or returns False where
                there is none now: then it is asked again after each :meth:`wake`. It is asked when
                all else allows the request, and what it took is used at once.
            patient: wait also while nobody at all is admitted: during a pause or an outage.
            early: the caller still has something to do before it sends, and then awaits
                :meth:`Permit.slot`. While all slots are taken, and nothing but that is in the way,
                :attr:`spare` of these are admitted without one.

        Raises:
            Stopped: the gate is closed, or was closed while waiting.
            Held: nobody is admitted at present, and the caller is not patient.
        """
        if self._stopped is not None:
            raise Stopped(self._stopped.decision)
        waiter = Waiter(tokens_estimate, take, patient=patient, early=early)
        if not self._queue:
            now = self._clock.monotonic()
            if self._block(waiter, now) is None and waiter.takes():
                return self._grant(waiter, now)
        self._queue.append(waiter)
        try:
            return await self._stand_in_line(waiter)
        finally:
            self._queue.remove(waiter)
            self.wake()

    def pause(self, seconds: float, reason: str) -> None:
        """Admit nobody for ``seconds`` from now; a longer pause that holds already stays."""
        self._holds.pause.begin(self._clock.monotonic(), seconds, reason)
        self.wake()

    def reached(self) -> None:
        """An earlier process had an answer from the endpoint: its address is right."""
        self.policy.reached = True

    def probe_first(self) -> None:
        """Let one request go, and the others after the first answer of a working server."""
        self.policy.outage.probe_first()
        self._was_out = True

    def heed(self, decision: Decision) -> Decision:
        """Apply what a decision means for everybody: a pause, or a stop. Returns it."""
        if decision.stops:
            self.close(decision)
        elif decision.pause_endpoint_s is not None:
            self.pause(decision.pause_endpoint_s, decision.reason)
        out = self.policy.outage.active
        if out != self._was_out:
            self._was_out = out
            if not out:
                self._holds.pause.ramp(self._clock.monotonic())
            self.wake()
        return decision

    def probe_delay(self) -> float | None:
        """Seconds until the next probe of an endpoint that serves nothing; None when it serves."""
        outage = self.policy.outage
        return outage.delay(self._clock.monotonic()) if outage.active else None

    def held_s(self) -> float:
        """Seconds for which nobody at all is admitted: a pause, or until the next probe."""
        now = self._clock.monotonic()
        hold = self._holds.at(now)
        return 0.0 if hold is None else hold.until - now

    def waiting(self) -> WaitState | None:
        """What the next request waits for; None when the queue is empty and nothing is paused."""
        now = self._clock.monotonic()
        block = self._block(self._queue[0], now) if self._queue else self._holds.at(now)
        if block is None and self._queue and self._queue[0].short:
            block = NO_MONEY
        if block is None:
            return None
        return WaitState.of(block, now, len(self._queue))

    def close(self, decision: Decision | None = None) -> None:
        """Admit nothing from now on; everybody who waits gets :class:`Stopped`.

        Requests in flight go on, and still give their permits back. The first reason stays.
        """
        if self._stopped is None:
            self._stopped = Stopped(decision)
            for waiter in self._queue:
                waiter.event.set()
            self.prepared.close(self._stopped)

    def release(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """Take a permit back (see :meth:`Permit.done`)."""
        self._take_back(permit, tokens, reply)
        self.wake()

    def hand_on(self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None) -> Any:
        """Take a permit back and give its slot on (see :meth:`Permit.hand_on`)."""
        self._take_back(permit, tokens, reply)
        cargo = self.prepared.carry_first() if self.prepared.line else None
        self.wake()
        return cargo

    def _take_back(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        if not permit.in_flight:
            self.prepared.count -= 1
            return
        slots, rates = self._slots, self._rates
        if reply is not None and (rates.counts_tokens or slots.learns):
            now = self._clock.monotonic()
            slots.concurrency.feed(signal_of(reply), now, slots.in_flight, permit.admitted_at)
            if isinstance(tokens, Reservation):
                rates.settle(tokens, tokens_used(reply), now)
        slots.in_flight -= 1

    async def _stand_in_line(self, waiter: Waiter) -> Permit:
        while True:
            if self._stopped is not None:
                raise Stopped(self._stopped.decision)
            timeout: float | None = None
            now = self._clock.monotonic()
            if not waiter.patient and (hold := self._holds.at(now)) is not None:
                raise Held(hold.until - now, hold.reason)
            if self._queue[0] is waiter:
                block = self._block(waiter, now)
                if block is None and not waiter.takes():
                    block = NO_MONEY
                if block is None:
                    # Nothing is awaited between here and the caller: a permit cannot get lost.
                    return self._grant(waiter, now)
                timeout = None if block.until is None else block.until - now
            waiter.event.clear()
            await self._clock.wait_for(waiter.event, timeout)

    def wake(self) -> None:
        """Let the head of the queue look again."""
        if self.prepared.line:
            self.prepared.hand_out()
        if self._queue:
            self._queue[0].event.set()

    def _grant(self, waiter: Waiter, now: float) -> Permit:
        if waiter.joins:
            self.prepared.count += 1
            return Permit(self, now, 0, None)
        reservation = self._rates.take(waiter.tokens, now) if self._rates.limited else None
        return Permit(self, now, self._slots.take(now), reservation)

    def _block(self, waiter: Waiter, now: float) -> Block | Hold | None:
        """Why a request cannot go now; None when it can."""
        block = self._holds.at(now) or self._no_place(waiter, now)
        if block is not None or not self._rates.limited:
            return block
        delay = self._rates.delay(waiter.tokens, now)
        return None if delay is None else Block(delay.reason, now + delay.seconds)

    def _no_place(self, waiter: Waiter, now: float) -> Block | None:
        waiter.joins = waiter.early and self.prepared.may_join(now)
        if waiter.joins:
            return NO_SLOT if self.prepared.full else None
        # Those who stand ready come first.
        return NO_SLOT if self.prepared.line else self._slots.none_free(now)
