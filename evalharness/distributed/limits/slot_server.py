"""The slot server of one endpoint: who may send now, when many workers share its limits.

Nothing is granted in advance. A worker says how many requests wait and gets grants for as many as
may go *now*; it sends them at once. So no part of the limit lies unused with a worker that has
nothing to send. A pause or a stop holds for all workers from the moment it is reported here,
because no worker holds unused grants. Only slots stay with a worker between its requests, until it
is idle or workers that have fewer want some.

This module knows no Ray, no network and no waiting: values in, values out, time as an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalharness.config.models import LimitsConfig, Profile
from evalharness.throttle.blocking import EndpointBlocking
from evalharness.throttle.circuit_breaker import Outage
from evalharness.throttle.concurrency import (
    FixedConcurrency,
    LimitHistory,
    Signal,
    make_concurrency,
)
from evalharness.throttle.endpoint_rates import EndpointRates
from evalharness.throttle.token_bucket import Reservation
from evalharness.throttle.waiters import EarlierRequest

# A worker that waits for a slot asks again after this long: messages free slots, not time.
SLOT_RETRY_S = 0.05


class LoadSignal(NamedTuple):
    """What one reply said about the load the server bears.

    Attributes:
        signal: see :class:`~evalharness.throttle.concurrency.Signal`.
        age_s: how long ago its request was admitted, in seconds.
    """

    signal: Signal
    age_s: float


class SlotRequest(NamedTuple):
    """A worker asks for grants, and reports what has ended.

    Attributes:
        tokens: token estimates of the requests that wait, in order of arrival.
        idle: slots it holds and does not use.
        returned: slots it has returned since its last request; it holds them no more.
        usage: of requests that ended: the number of their grant, and the tokens they used (None
            is unknown).
        signals: what their replies said about the load.
    """

    tokens: Sequence[int] = ()
    idle: int = 0
    returned: int = 0
    usage: Sequence[tuple[int, int | None]] = ()
    signals: Sequence[LoadSignal] = ()


class SlotResponse(NamedTuple):
    """Grants, and when to ask again.

    Attributes:
        grants: a number for each request that may go now, first come first served.
        slots: how many of the grants come with a new slot; the others use idle ones.
        max_slots: slots the worker may hold from now on; it returns those above that as its
            requests end.
        wait_s: seconds after which to ask again; None when all were granted.
        reason: what the first request without a grant waits for; None when all were granted.
        until_s: seconds until that ends; None where a reply ends it, not time.
        blocked: whether nobody at all is admitted until then: a pause or an outage.
    """

    grants: Sequence[int]
    slots: int
    max_slots: int
    wait_s: float | None = None
    reason: str | None = None
    until_s: float | None = None
    blocked: bool = False


class _SlotBlock(NamedTuple):
    reason: str
    wait_s: float
    timed: bool = True
    blocked: bool = False


class _WorkerSlots:
    """What the server knows of a worker: slots it holds, those unused, requests that wait."""

    __slots__ = ("held", "idle", "reservations", "waiting")

    def __init__(self) -> None:
        self.held = self.idle = self.waiting = 0
        self.reservations: dict[int, Reservation] = {}

    @property
    def need(self) -> int:
        return self.held - self.idle + self.waiting


class SlotServer:
    """Requests, tokens and slots of one endpoint, shared by workers.

    In any window no more is granted than one process would admit (see
    :class:`~evalharness.throttle.token_bucket.RequestLimiter` and ``TokenLimiter``), and
    workers never hold more than ``limits.concurrency`` slots together.

    Args:
        limits: of the whole run: ``concurrency`` is a total.
        profile: of the provider.
        now: monotonic seconds; every later ``now`` is on the same clock, the coordinator's.
    """

    def __init__(self, limits: LimitsConfig, profile: Profile, now: float) -> None:
        self.outage = Outage()
        self._blocking = EndpointBlocking(self.outage)
        self.pause = self._blocking.pause
        self._rates = EndpointRates(limits, profile)
        self._concurrency = make_concurrency(limits, now)
        self._workers: dict[str, _WorkerSlots] = {}
        self._number = 0

    @property
    def slots_held(self) -> int:
        """Slots that workers hold."""
        return sum(w.held for w in self._workers.values())

    @property
    def in_flight(self) -> int:
        """Requests in flight, as far as workers have reported."""
        return sum(w.held - w.idle for w in self._workers.values())

    @property
    def history(self) -> LimitHistory:
        """Every total concurrency there was."""
        return self._concurrency.history

    @property
    def window_s(self) -> float:
        """How long a request counts against a limit, in seconds; 0.0 without limits."""
        return self._rates.window_s

    def restore(self, sent: Sequence[EarlierRequest], now: float, now_ns: int) -> None:
        """Count what earlier processes sent.

        See :meth:`~evalharness.throttle.limiter.EndpointLimiter.restore`.

        ``now`` and ``now_ns`` are the same moment, monotonic seconds and Unix nanoseconds.
        """
        self._rates.restore(((now - (now_ns - s.at_ns) / 1e9, s.tokens) for s in sent), now)

    @property
    def needs_grant(self) -> bool:
        """Whether a worker must ask for every request: a slot alone is not enough to send."""
        return self._rates.limited or not isinstance(self._concurrency, FixedConcurrency)

    def request_slots(self, name: str, request: SlotRequest, now: float) -> SlotResponse:
        """Take back what ended, and grant as many requests as may go at ``now``."""
        worker = self._workers.setdefault(name, _WorkerSlots())
        worker.held -= request.returned
        worker.idle = request.idle
        worker.waiting = len(request.tokens)
        self._settle(worker, request, now)
        grants: list[int] = []
        slots = 0
        for tokens in request.tokens:
            block = self._block(worker, tokens, now)
            if block is not None:
                until = block.wait_s if block.timed else None
                max_slots = self._max_slots(worker)
                return SlotResponse(
                    grants, slots, max_slots, block.wait_s, block.reason, until, block.blocked
                )
            grants.append(self._grant(worker, tokens, now))
            worker.waiting -= 1
            if worker.idle:
                worker.idle -= 1
            else:
                worker.held += 1
                slots += 1
        return SlotResponse(grants, slots, self._max_slots(worker))

    def remove_worker(self, name: str, now: float) -> None:
        """A worker is dead: its slots are free, its tokens count as estimated."""
        worker = self._workers.pop(name, None)
        if worker is not None:
            for reservation in worker.reservations.values():
                self._rates.settle(reservation, None, now)

    def _settle(self, worker: _WorkerSlots, request: SlotRequest, now: float) -> None:
        in_use = self.in_flight + len(request.signals)
        for number, tokens in request.usage:
            reservation = worker.reservations.pop(number, None)
            if reservation is not None:
                self._rates.settle(reservation, tokens, now)
        for signal, age_s in request.signals:
            self._concurrency.observe(signal, now, in_use, now - age_s)

    def _grant(self, worker: _WorkerSlots, tokens: int, now: float) -> int:
        self._number += 1
        self.outage.record_request(now)
        reservation = self._rates.take(tokens, now)
        if reservation is not None:
            worker.reservations[self._number] = reservation
        return self._number

    # ── why a request cannot go ──────────────────────────────────────────────────────────────

    def _block(self, worker: _WorkerSlots, tokens: int, now: float) -> _SlotBlock | None:
        block = self._blocking.at(now)
        if block is not None:
            return _SlotBlock(block.reason, block.until - now, blocked=True)
        slot_block = self._slot_block(worker, now)
        if slot_block is not None:
            return slot_block
        delay = self._rates.delay(tokens, now)
        return None if delay is None else _SlotBlock(delay.reason, delay.seconds)

    def _slot_block(self, worker: _WorkerSlots, now: float) -> _SlotBlock | None:
        limit, in_flight = self._concurrency.limit, self.in_flight
        new = worker.idle == 0
        full = in_flight >= limit or (new and self.slots_held >= limit)
        if full or (new and worker.held >= self._max_slots(worker)):
            return _SlotBlock("a free slot", SLOT_RETRY_S, timed=False)
        ready = self.pause.slot_at(in_flight, limit)
        return _SlotBlock("coming back after a pause", ready - now) if now < ready else None

    def _max_slots(self, worker: _WorkerSlots) -> int:
        """Slots a worker may hold: its share of the limit, and what others do not need of theirs.

        The share is the limit divided by the workers that use or want slots. It is at least one
        slot: a run has no more workers than slots (``execution.workers``).
        """
        limit = self._concurrency.limit
        needs = [w.need for w in self._workers.values() if w is not worker and w.need]
        share = limit / (len(needs) + 1)
        return max(1, limit - sum(min(need, int(share)) for need in needs))
