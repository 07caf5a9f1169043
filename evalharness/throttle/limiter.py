"""The limiter of one endpoint: it admits requests in order of arrival, within every limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from evalharness.config.models import LimitsConfig, Profile
from evalharness.records import Reply
from evalharness.throttle.blocking import EndpointBlock, EndpointBlocking
from evalharness.throttle.clock import Clock
from evalharness.throttle.concurrency import LimitRecord, make_concurrency, signal_of
from evalharness.throttle.endpoint_rates import EndpointRates
from evalharness.throttle.output_token_estimate import tokens_used
from evalharness.throttle.permit import Permit
from evalharness.throttle.ready_queue import ReadyQueue
from evalharness.throttle.retry_policy import Decision, RetryPolicy
from evalharness.throttle.slots import Slots
from evalharness.throttle.token_bucket import Reservation
from evalharness.throttle.waiters import (
    NO_BUDGET,
    NO_SLOT,
    BlockReason,
    EarlierRequest,
    EndpointPaused,
    LimiterClosed,
    Waiter,
    WaitState,
)


class EndpointLimiter:
    """Admits requests to one endpoint.

    A request is admitted when the endpoint is not paused, a slot is free, and both rates have room.
    All of that is taken at that moment and nothing before, so a request that gives up waiting
    leaves no trace. Only the head of the queue is considered: order of arrival is order of
    admission.

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
        self._rates = EndpointRates(limits, profile)
        self._rpm = limits.rpm
        self._blocking = EndpointBlocking(self.policy.outage)
        self._slots = Slots(make_concurrency(limits, now), self._blocking)
        # Rates count a request from its admission, which must then be the moment it is sent.
        enabled = not self._rates.limited
        self.ready_queue = ReadyQueue(self._slots, self._blocking, clock, enabled=enabled)
        self._queue: deque[Waiter] = deque()
        self._was_in_outage = False
        self._closed: LimiterClosed | None = None

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._slots.in_flight

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._slots.concurrency.limit

    @property
    def prefetch_size(self) -> int:
        """How many requests may be admitted early beyond the limit (see :meth:`admit`).

        0 where rates are limited: they count a request from its admission, which must then be
        the moment it is sent.
        """
        return self.ready_queue.prefetch_size

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a token limit, which :meth:`admit` needs an estimate for."""
        return self._rates.counts_tokens

    @property
    def history(self) -> list[LimitRecord]:
        """All concurrency limits so far, by wall clock, oldest first."""
        return self._slots.concurrency.history.records(self._epoch_ns)

    @property
    def history_omitted(self) -> int:
        """How many changes of a long history are not in :attr:`history`."""
        return self._slots.concurrency.history.omitted

    @property
    def window_s(self) -> float:
        """How long a request counts against a limit, in seconds; 0.0 without limits."""
        return self._rates.window_s

    def restore(self, sent: Iterable[EarlierRequest]) -> None:
        """Count what an earlier process sent, so that starting anew exceeds no limit.

        Call it before the first :meth:`admit`. A moment in the future (a clock that was set back)
        counts as now.
        """
        now = self._clock.monotonic()
        moments = [((s.at_ns - self._epoch_ns) / 1e9, s.tokens) for s in sent]
        self._rates.restore(moments, now)
        self._slots.sent.restore([at for at, _ in moments], now)

    async def admit(
        self,
        tokens_estimate: int = 0,
        *,
        reserve: Callable[[], bool] | None = None,
        patient: bool = True,
        early: bool = False,
    ) -> Permit:
        """Wait until one request of about that many tokens may go.

        Args:
            tokens_estimate: prompt and output.
            reserve: reserves what the request needs besides this endpoint (money), or returns False
                where there is none now; it is then called again after each :meth:`wake`. It is
                called when all else allows the request, and what it reserved is used at once.
            patient: wait also while nobody at all is admitted: during a pause or an outage.
            early: the caller still has something to do before it sends, and then awaits
                :meth:`Permit.wait_for_slot`. While a free slot is all that is missing,
                :attr:`prefetch_size` of these are admitted without one.

        Raises:
            LimiterClosed: the limiter is closed, or was closed while waiting.
            EndpointPaused: nobody is admitted at present, and the caller is not patient.
        """
        if self._closed is not None:
            raise LimiterClosed(self._closed.decision)
        waiter = Waiter(tokens_estimate, reserve, patient=patient, early=early)
        if not self._queue:
            now = self._clock.monotonic()
            if self._block_reason(waiter, now) is None and waiter.reserve():
                return self._grant(waiter, now)
        self._queue.append(waiter)
        try:
            return await self._wait_in_queue(waiter)
        finally:
            self._queue.remove(waiter)
            self.wake()

    def pause(self, seconds: float, reason: str) -> None:
        """Admit nobody for ``seconds`` from now; a longer pause that holds already stays."""
        self._blocking.pause.begin(self._clock.monotonic(), seconds, reason)
        self.wake()

    @property
    def is_held(self) -> bool:
        """Whether the user lets nothing go."""
        return self._blocking.held is not None

    def hold(self, reason: str) -> None:
        """Let nothing go until :meth:`end_hold`; requests in flight go on.

        Those that are ready to be sent go back to where they came from: from this call on nothing
        is sent, and nothing stays that was to be sent.
        """
        self._blocking.held = reason
        self.ready_queue.return_requests()
        self.wake()

    def end_hold(self) -> None:
        """Let requests go again."""
        self._blocking.held = None
        self.wake()

    def change_limits(self, limits: LimitsConfig, reason: str) -> None:
        """Let ``concurrency`` and ``rpm`` of other limits hold from now on.

        Requests that were sent within the last minute count towards a new rate.

        Args:
            limits: the others of its values are not looked at.
            reason: of a new concurrency, for its history.
        """
        now = self._clock.monotonic()
        self._slots.concurrency.set_most(limits.concurrency, now, reason)
        if limits.rpm != self._rpm:
            self._rpm = limits.rpm
            self._rates.set_rpm(limits.rpm, self._slots.sent.moments(), now)
            self.ready_queue.set_enabled(not self._rates.limited)
        self.wake()

    def mark_reached(self) -> None:
        """An earlier process had an answer from the endpoint: its address is right."""
        self.policy.ever_reached = True

    def probe_first(self) -> None:
        """Let one request go, and the others after the first answer of a working server."""
        self.policy.outage.probe_first()
        self._was_in_outage = True

    def apply(self, decision: Decision) -> Decision:
        """Apply what a decision means for everybody: a pause, or a stop. Returns it."""
        if decision.stops:
            self.close(decision)
        elif decision.pause_endpoint_s is not None:
            self.pause(decision.pause_endpoint_s, decision.reason)
        in_outage = self.policy.outage.active
        if in_outage != self._was_in_outage:
            self._was_in_outage = in_outage
            if not in_outage:
                self._blocking.pause.ramp(self._clock.monotonic())
            self.wake()
        return decision

    def blocked_for_s(self) -> float:
        """Seconds for which nobody at all is admitted: a pause, or until the next probe."""
        now = self._clock.monotonic()
        block = self._blocking.at(now)
        return 0.0 if block is None else block.until - now

    def wait_state(self) -> WaitState | None:
        """What the next request waits for; None when the queue is empty and nothing is paused."""
        now = self._clock.monotonic()
        block = self._block_reason(self._queue[0], now) if self._queue else self._blocking.at(now)
        if block is None and self._queue and self._queue[0].lacks_budget:
            block = NO_BUDGET
        if block is None:
            return None
        return WaitState.of(block, now, len(self._queue))

    def close(self, decision: Decision | None = None) -> None:
        """Admit nothing from now on; everybody who waits gets :class:`LimiterClosed`.

        Requests in flight go on, and still give their permits back. The first reason stays.
        """
        if self._closed is None:
            self._closed = LimiterClosed(decision)
            for waiter in self._queue:
                waiter.event.set()
            self.ready_queue.close(self._closed)

    def wait_for_slot(self, permit: Permit, payload: Any) -> Coroutine[Any, Any, None]:
        """Wait for the slot of a permit that has none (see :meth:`Permit.wait_for_slot`)."""
        return self.ready_queue.wait_for_slot(permit, payload)

    def release(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """Take a permit back (see :meth:`Permit.release`)."""
        self._take_back(permit, tokens, reply)
        self.wake()

    def release_to_next(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> Any:
        """Take a permit back and pass its slot on (see :meth:`Permit.release_to_next`)."""
        self._take_back(permit, tokens, reply)
        payload = self.ready_queue.transfer_first() if self.ready_queue.requests else None
        self.wake()
        return payload

    def _take_back(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        if not permit.in_flight:
            self.ready_queue.count -= 1
            return
        slots, rates = self._slots, self._rates
        if reply is not None and (rates.counts_tokens or slots.adaptive):
            now = self._clock.monotonic()
            slots.concurrency.observe(signal_of(reply), now, slots.in_flight, permit.admitted_at)
            if isinstance(tokens, Reservation):
                rates.settle(tokens, tokens_used(reply), now)
        slots.in_flight -= 1

    async def _wait_in_queue(self, waiter: Waiter) -> Permit:
        while True:
            if self._closed is not None:
                raise LimiterClosed(self._closed.decision)
            timeout: float | None = None
            now = self._clock.monotonic()
            if not waiter.patient and (block := self._blocking.at(now)) is not None:
                raise EndpointPaused(block.until - now, block.reason)
            if self._queue[0] is waiter:
                block = self._block_reason(waiter, now)
                if block is None and not waiter.reserve():
                    block = NO_BUDGET
                if block is None:
                    # Nothing is awaited between here and the caller: a permit cannot get lost.
                    return self._grant(waiter, now)
                timeout = None if block.until is None else block.until - now
            waiter.event.clear()
            await self._clock.wait_for(waiter.event, timeout)

    def wake(self) -> None:
        """Let the head of the queue check again whether it may go."""
        if self.ready_queue.requests:
            self.ready_queue.assign_slots()
        if self._queue:
            self._queue[0].event.set()

    def _grant(self, waiter: Waiter, now: float) -> Permit:
        if waiter.without_slot:
            self.ready_queue.count += 1
            return Permit(self, now, 0, None)
        reservation = self._rates.take(waiter.tokens, now) if self._rates.limited else None
        return Permit(self, now, self._slots.take(now), reservation)

    def _block_reason(self, waiter: Waiter, now: float) -> BlockReason | EndpointBlock | None:
        """Why a request cannot go now; None when it can."""
        block = self._blocking.at(now) or self._slot_block(waiter, now)
        if block is not None or not self._rates.limited:
            return block
        delay = self._rates.delay(waiter.tokens, now)
        return None if delay is None else BlockReason(delay.reason, now + delay.seconds)

    def _slot_block(self, waiter: Waiter, now: float) -> BlockReason | None:
        waiter.without_slot = waiter.early and self.ready_queue.accepts(now)
        if waiter.without_slot:
            return NO_SLOT if self.ready_queue.is_full else None
        # Requests that are ready and wait for a slot come first.
        return NO_SLOT if self.ready_queue.requests else self._slots.no_free_slot(now)
