"""The gate of one endpoint: a request passes when every limit lets it, in order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from evalharness.config import LimitsConfig, Profile
from evalharness.records import Reply
from evalharness.throttle.clock import Clock
from evalharness.throttle.concurrency import (
    AdaptiveConcurrency,
    Concurrency,
    FixedConcurrency,
    LimitRecord,
    signal_of,
)
from evalharness.throttle.estimate import tokens_used
from evalharness.throttle.line import (
    NO_MONEY,
    Block,
    Held,
    Hold,
    SentBefore,
    Stopped,
    Waiter,
    WaitState,
)
from evalharness.throttle.pause import Pause
from evalharness.throttle.prepared import Entry, Prepared, beyond
from evalharness.throttle.rate import RequestRate, Reservation, TokenBudget
from evalharness.throttle.retry import Decision, RetryPolicy

ADAPTIVE_START = 20


class Permit:
    """The right to send one request. Give it back with :meth:`done`, whatever happened.

    Attributes:
        admitted_at: clock time (monotonic seconds) at which it was granted, with its slot.
        in_flight: requests in flight then, this one included; 0 while it has no slot.
        carried: whether somebody else sends what stood ready with it (see :meth:`hand_on`), and
            gives it back.
    """

    __slots__ = ("_gate", "_open", "_tokens", "admitted_at", "carried", "in_flight")

    def __init__(
        self, gate: Gate, admitted_at: float, in_flight: int, tokens: Reservation | int | None
    ) -> None:
        self._gate = gate
        self._open = True
        self._tokens = tokens
        self.admitted_at = admitted_at
        self.in_flight = in_flight
        self.carried = False

    async def slot(self, cargo: Any = None) -> bool:
        """Wait until the request may really go; False when it was not admitted early, but to go.

        Args:
            cargo: what is to be sent. With one given, somebody else may do that meanwhile; then
                :attr:`carried` is true afterwards, also after an error.

        Raises:
            Stopped: the gate was closed meanwhile.
        """
        if self.in_flight:
            return False
        await self._gate.stand_ready(self, cargo)
        return True

    def decide(
        self, reply: Reply, attempt: int, in_doubt_so_far: int, *, kind_so_far: int | None = None
    ) -> Decision:
        """What follows from the reply; its pause or stop holds for every sender from this call on.

        Call it once, as soon as the reply is there, and :meth:`done` after it. Arguments as in
        :meth:`~evalharness.throttle.retry.RetryPolicy.decide`.
        """
        return self._gate.heed(
            self._gate.policy.decide(
                reply,
                attempt,
                in_doubt_so_far,
                kind_so_far=kind_so_far,
                sent_at=self.admitted_at,
            )
        )

    def done(self, reply: Reply | None) -> None:
        """Settle tokens, learn from the reply, free the slot. A second call changes nothing.

        Args:
            reply: what came; None when that is unknown (a cancelled attempt): its tokens
                count as estimated, and nothing is learned.
        """
        if self._open:
            self._open = False
            self._gate.release(self, self._tokens, reply)

    def hand_on(self, reply: Reply) -> Any:
        """As :meth:`done`, and take over what the first in line has ready; None where nothing goes.

        The caller sends it at once. Were its owner woken instead, it would go in the next turn of
        the event loop only: after every other reply that is there, so that of a thousand requests
        each would wait for all, and keep doing so.
        """
        if not self._open:
            return None
        self._open = False
        return self._gate.hand_on(self, self._tokens, reply)


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
        self.in_flight: int = 0
        self._clock = clock
        self._epoch_ns = clock.now_ns() - round(now * 1e9)
        self._concurrency: Concurrency
        if limits.adaptive:
            start = min(ADAPTIVE_START, limits.concurrency)
            self._concurrency = AdaptiveConcurrency(start, 1, limits.concurrency, now)
        else:
            self._concurrency = FixedConcurrency(limits.concurrency, now)
        self._rate = (
            None
            if limits.rpm is None
            else RequestRate(limits.rpm, per_second_caps=profile.per_second_caps)
        )
        self._tokens = None if limits.tpm is None else TokenBudget(limits.tpm)
        self._queue: deque[Waiter] = deque()
        self._prepared = Prepared()
        self._pause = Pause()
        self._was_out = False
        self._stopped: Stopped | None = None

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._concurrency.limit

    @property
    def spare(self) -> int:
        """How many requests may be admitted early beyond the limit (see :meth:`admit`).

        None where rates are limited: they count a request from its admission, which must then
        be the moment when it goes.
        """
        return beyond(self.limit) if self._rate is None and self._tokens is None else 0

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a token limit, which :meth:`admit` needs an estimate for."""
        return self._tokens is not None

    @property
    def closed(self) -> bool:
        """Whether nothing new is admitted."""
        return self._stopped is not None

    @property
    def history(self) -> list[LimitRecord]:
        """The concurrency limits there were, by wall clock, oldest first (see :class:`History`)."""
        return [
            LimitRecord(self._epoch_ns + round(change.at * 1e9), change.limit, change.reason)
            for change in self._concurrency.history
        ]

    @property
    def history_omitted(self) -> int:
        """How many changes of a long history are not in :attr:`history`."""
        return self._concurrency.history.omitted

    @property
    def memory_s(self) -> float:
        """How long a request counts against a limit, in seconds; 0.0 without limits."""
        limits = (self._rate, self._tokens)
        return max((limit.window_s for limit in limits if limit is not None), default=0.0)

    def recall(self, sent: Iterable[SentBefore]) -> None:
        """Count what an earlier process sent, so that starting anew exceeds no limit.

        Call it before the first :meth:`admit`. A moment in the future (a clock that was set back)
        counts as now.
        """
        now = self._clock.monotonic()
        known = sorted((min(now, (s.at_ns - self._epoch_ns) / 1e9), s.tokens) for s in sent)
        recent = [(at, tokens) for at, tokens in known if at > now - self.memory_s]
        if self._rate is not None:
            self._rate.recall([at for at, _ in recent], now)
        if self._tokens is not None:
            self._tokens.recall(recent, now)

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

    async def stand_ready(self, permit: Permit, cargo: Any = None) -> None:
        """Wait for a slot: see :meth:`Permit.slot`."""
        line, now = self._prepared.line, self._clock.monotonic()
        if not line and self._stopped is None and (self._hold(now) or self._no_slot(now)) is None:
            self._prepared.count -= 1
            self._give_slot(permit, now)
            return
        event = asyncio.Event()
        line.append(Entry(permit, event, cargo))
        try:
            while not permit.carried:
                if self._stopped is not None:
                    raise Stopped(self._stopped.decision)
                if permit.in_flight and self._clock.monotonic() < self._pause.until:
                    # A pause began between the handing out and now.
                    self.in_flight, permit.in_flight = self.in_flight - 1, 0
                    self._prepared.count += 1
                    line.appendleft(Entry(permit, event, cargo))
                block = self._hand_out_slots()
                if permit.in_flight:
                    return
                timeout = None
                if block is not None and block.until is not None:
                    timeout = block.until - self._clock.monotonic()
                event.clear()
                await self._clock.wait_for(event, timeout)
        finally:
            if not permit.in_flight:
                self._prepared.forget(permit)

    def pause(self, seconds: float, reason: str) -> None:
        """Admit nobody for ``seconds`` from now; a longer pause that holds already stays."""
        self._pause.begin(self._clock.monotonic(), seconds, reason)
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
                self._pause.ramp(self._clock.monotonic())
            self.wake()
        return decision

    def probe_delay(self) -> float | None:
        """Seconds until the next probe of an endpoint that serves nothing; None when it serves."""
        outage = self.policy.outage
        return outage.delay(self._clock.monotonic()) if outage.active else None

    def held_s(self) -> float:
        """Seconds for which nobody at all is admitted: a pause, or until the next probe."""
        now = self._clock.monotonic()
        hold = self._hold(now)
        return 0.0 if hold is None else hold.until - now

    def waiting(self) -> WaitState | None:
        """What the next request waits for; None when the queue is empty and nothing is paused."""
        now = self._clock.monotonic()
        block = self._block(self._queue[0], now) if self._queue else self._hold(now)
        if block is None and self._queue and self._queue[0].short:
            block = NO_MONEY
        if block is None:
            return None
        left = None if block.until is None else max(0.0, block.until - now)
        return WaitState(block.reason, block.until, left, len(self._queue))

    def close(self, decision: Decision | None = None) -> None:
        """Admit nothing from now on; everybody who waits gets :class:`Stopped`.

        Requests in flight go on, and still give their permits back. The first reason stays.
        """
        if self._stopped is None:
            self._stopped = Stopped(decision)
            for waiter in self._queue:
                waiter.event.set()
            self._prepared.wake_all()

    def release(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """Take a permit back (see :meth:`Permit.done`)."""
        self._take_back(permit, tokens, reply)
        self.wake()

    def hand_on(self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None) -> Any:
        """Take a permit back and give its slot on (see :meth:`Permit.hand_on`)."""
        self._take_back(permit, tokens, reply)
        cargo, line, now = None, self._prepared.line, self._clock.monotonic()
        if line and self._stopped is None and (self._hold(now) or self._no_slot(now)) is None:
            cargo = line[0].cargo
            if cargo is not None:
                line[0].permit.carried = True
                self._hand_out_first(now)
        self.wake()
        return cargo

    def _take_back(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        if not permit.in_flight:
            self._prepared.count -= 1
            return
        if reply is not None and (self._tokens is not None or not self._fixed):
            now = self._clock.monotonic()
            self._concurrency.feed(signal_of(reply), now, self.in_flight, permit.admitted_at)
            if self._tokens is not None and isinstance(tokens, Reservation):
                self._tokens.settle(tokens, tokens_used(reply), now)
        self.in_flight -= 1

    @property
    def _fixed(self) -> bool:
        return isinstance(self._concurrency, FixedConcurrency)

    async def _stand_in_line(self, waiter: Waiter) -> Permit:
        while True:
            if self._stopped is not None:
                raise Stopped(self._stopped.decision)
            timeout: float | None = None
            now = self._clock.monotonic()
            if not waiter.patient and (hold := self._hold(now)) is not None:
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
        if self._prepared.line:
            self._hand_out_slots()
        if self._queue:
            self._queue[0].event.set()

    def _grant(self, waiter: Waiter, now: float) -> Permit:
        if waiter.early and self._may_prepare(now):
            self._prepared.count += 1
            return Permit(self, now, 0, None)
        self._take_slot(now)
        if self._rate is not None:
            self._rate.take(now)
        reservation = None if self._tokens is None else self._tokens.take(now, waiter.tokens)
        return Permit(self, now, self.in_flight, reservation)

    def _take_slot(self, now: float) -> None:
        self.in_flight += 1
        self.policy.outage.take(now)

    def _hand_out_slots(self) -> Block | Hold | None:
        """Let those go that stand ready, in order; what keeps the first of the others back.

        Slots are handed over here, not taken by whoever wakes up: when a hundred become free in
        one round of the event loop, a hundred go in the next.
        """
        line = self._prepared.line
        now = self._clock.monotonic()
        while line:
            block = self._hold(now) or self._no_slot(now)
            if block is not None:
                if block.until is not None:
                    line[0].event.set()  # it sets itself a timer
                return block
            self._hand_out_first(now)
        return None

    def _hand_out_first(self, now: float) -> None:
        first = self._prepared.line.popleft()
        self._prepared.count -= 1
        self._give_slot(first.permit, now)
        first.event.set()

    def _give_slot(self, permit: Permit, now: float) -> None:
        self._take_slot(now)
        permit.admitted_at, permit.in_flight = now, self.in_flight

    def _may_prepare(self, now: float) -> bool:
        """Whether a slot is all that a request may have to wait for."""
        if self._rate is not None or self._tokens is not None or self.policy.outage.active:
            return False
        return now >= self._pause.slot_at(self.limit, self.limit)

    def _hold(self, now: float) -> Hold | None:
        """What keeps everybody back, whatever the request."""
        outage = self.policy.outage
        if outage.active and (probe := outage.delay(now)) > 0 and now + probe > self._pause.until:
            why = f" ({outage.why})" if outage.why else ""
            return Hold(f"the endpoint serves nothing{why}; next probe", now + probe)
        if now < self._pause.until:
            return Hold(f"paused: {self._pause.reason}", self._pause.until)
        return None

    def _block(self, waiter: Waiter, now: float) -> Block | Hold | None:
        """Why a request cannot go now; None when it can."""
        block = self._hold(now) or self._no_place(waiter, now)
        if block is not None:
            return block
        by_requests = 0.0 if self._rate is None else self._rate.delay(now)
        by_tokens = 0.0 if self._tokens is None else self._tokens.delay(now, waiter.tokens)
        if by_requests == 0.0 and by_tokens == 0.0:
            return None
        if by_requests >= by_tokens:
            return Block("requests per minute", now + by_requests)
        return Block("tokens per minute", now + by_tokens)

    def _no_place(self, waiter: Waiter, now: float) -> Block | None:
        if waiter.early and self._may_prepare(now):
            full = self.in_flight + self._prepared.count >= self.limit + self.spare
            return Block("a free slot", None) if full else None
        # Those who stand ready come first.
        return Block("a free slot", None) if self._prepared.line else self._no_slot(now)

    def _no_slot(self, now: float) -> Block | None:
        limit = self._concurrency.limit
        if self.in_flight >= limit:
            return Block("a free slot", None)
        ready = self._pause.slot_at(self.in_flight, limit)
        return Block("coming back after a pause", ready) if now < ready else None
