"""The desk of one endpoint: who may send now, when many workers share its limits.

Nothing is handed out ahead of need. A worker says how many requests wait and gets leave for as
many as may go *now*; it sends them at once. So no slice of the limit lies unused with a worker
that has nothing to send, and a pause or a stop holds for everybody from the moment it is told
here, because nobody has leave in hand. Only slots stay with a worker between its requests, until
it is idle or others, who have fewer, want some.

This module knows no Ray, no network and no waiting: values in, values out, time as an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalharness.config.models import LimitsConfig, Profile
from evalharness.throttle.blocking import Holds
from evalharness.throttle.circuit_breaker import Outage
from evalharness.throttle.concurrency import FixedConcurrency, History, Signal, concurrency_of
from evalharness.throttle.endpoint_rates import Rates
from evalharness.throttle.token_bucket import Reservation
from evalharness.throttle.waiters import SentBefore

# Whoever waits for a slot asks again after this long; a slot is freed by a message, not by time.
SLOT_RETRY_S = 0.05


class Signalled(NamedTuple):
    """What one reply said about the load the server bears.

    Attributes:
        signal: see :class:`~evalharness.throttle.concurrency.Signal`.
        age_s: how long ago its request was let go, in seconds.
    """

    signal: Signal
    age_s: float


class Ask(NamedTuple):
    """What a worker tells and wants.

    Attributes:
        tokens: token estimates of the requests that wait, in order of arrival.
        idle: slots it holds and does not use.
        returned: slots it has given back since it asked last; it holds them no more.
        used: requests that ended: the number their grant had, and the tokens they used (None is
            unknown).
        signals: what their replies said.
    """

    tokens: Sequence[int] = ()
    idle: int = 0
    returned: int = 0
    used: Sequence[tuple[int, int | None]] = ()
    signals: Sequence[Signalled] = ()


class Answer(NamedTuple):
    """Leave to send, and when to ask again.

    Attributes:
        grants: a number for each request that may go now, first come first served.
        slots: how many of them brought a slot of their own; the others use idle ones.
        keep: slots the worker may hold from now on; it gives back what it has above that, as
            its requests end.
        wait_s: seconds after which asking again is worth it; None when all were granted.
        reason: what the first request without leave waits for; None likewise.
        until_s: seconds until that ends, where time ends it.
        held: nobody at all is admitted until then: a pause or an outage.
    """

    grants: Sequence[int]
    slots: int
    keep: int
    wait_s: float | None = None
    reason: str | None = None
    until_s: float | None = None
    held: bool = False


class _Block(NamedTuple):
    reason: str
    wait_s: float
    timed: bool = True
    held: bool = False


class _Worker:
    """What the desk knows of a worker: slots it holds, those unused, requests that wait."""

    __slots__ = ("held", "idle", "open", "waits")

    def __init__(self) -> None:
        self.held = self.idle = self.waits = 0
        self.open: dict[int, Reservation] = {}

    @property
    def need(self) -> int:
        return self.held - self.idle + self.waits


class Desk:
    """Requests, tokens and slots of one endpoint, shared by workers.

    In any window no more is granted than one process would let go (see
    :class:`~evalharness.throttle.token_bucket.RequestRate` and ``TokenBudget``), and never are more
    than ``limits.concurrency`` slots out.

    Args:
        limits: of the whole run: ``concurrency`` is a total.
        profile: of the provider.
        now: monotonic seconds; every later ``now`` is on the same clock, the coordinator's.
    """

    def __init__(self, limits: LimitsConfig, profile: Profile, now: float) -> None:
        self.outage = Outage()
        self._holds = Holds(self.outage)
        self.pause = self._holds.pause
        self._rates = Rates(limits, profile)
        self._concurrency = concurrency_of(limits, now)
        self._workers: dict[str, _Worker] = {}
        self._number = 0

    @property
    def slots_held(self) -> int:
        """Slots out with workers."""
        return sum(w.held for w in self._workers.values())

    @property
    def in_flight(self) -> int:
        """Requests in flight, as far as workers have told."""
        return sum(w.held - w.idle for w in self._workers.values())

    @property
    def history(self) -> History:
        """Every total concurrency there was."""
        return self._concurrency.history

    @property
    def memory_s(self) -> float:
        """How long a request counts against a limit, in seconds; 0.0 without limits."""
        return self._rates.memory_s

    def recall(self, sent: Sequence[SentBefore], now: float, now_ns: int) -> None:
        """Count what earlier processes sent (see :meth:`.throttle.limiter.Gate.recall`).

        ``now`` and ``now_ns`` are the same moment, monotonic seconds and Unix nanoseconds.
        """
        self._rates.recall(((now - (now_ns - s.at_ns) / 1e9, s.tokens) for s in sent), now)

    @property
    def needs_leave(self) -> bool:
        """Whether a worker must ask for every request: a slot alone is not leave to send."""
        return self._rates.limited or not isinstance(self._concurrency, FixedConcurrency)

    def ask(self, name: str, ask: Ask, now: float) -> Answer:
        """Take back what ended, and grant as many requests as may go at ``now``."""
        worker = self._workers.setdefault(name, _Worker())
        worker.held -= ask.returned
        worker.idle = ask.idle
        worker.waits = len(ask.tokens)
        self._settle(worker, ask, now)
        grants: list[int] = []
        slots = 0
        for tokens in ask.tokens:
            block = self._block(worker, tokens, now)
            if block is not None:
                until = block.wait_s if block.timed else None
                keep = self._keep(worker)
                return Answer(grants, slots, keep, block.wait_s, block.reason, until, block.held)
            grants.append(self._grant(worker, tokens, now))
            worker.waits -= 1
            if worker.idle:
                worker.idle -= 1
            else:
                worker.held += 1
                slots += 1
        return Answer(grants, slots, self._keep(worker))

    def gone(self, name: str, now: float) -> None:
        """A worker is dead: its slots are free, its tokens count as estimated."""
        worker = self._workers.pop(name, None)
        if worker is not None:
            for reservation in worker.open.values():
                self._rates.settle(reservation, None, now)

    def _settle(self, worker: _Worker, ask: Ask, now: float) -> None:
        in_use = self.in_flight + len(ask.signals)
        for number, tokens in ask.used:
            reservation = worker.open.pop(number, None)
            if reservation is not None:
                self._rates.settle(reservation, tokens, now)
        for signal, age_s in ask.signals:
            self._concurrency.feed(signal, now, in_use, now - age_s)

    def _grant(self, worker: _Worker, tokens: int, now: float) -> int:
        self._number += 1
        self.outage.take(now)
        reservation = self._rates.take(tokens, now)
        if reservation is not None:
            worker.open[self._number] = reservation
        return self._number

    # ── what keeps a request back ────────────────────────────────────────────────────────────

    def _block(self, worker: _Worker, tokens: int, now: float) -> _Block | None:
        hold = self._holds.at(now)
        if hold is not None:
            return _Block(hold.reason, hold.until - now, held=True)
        slot = self._no_slot(worker, now)
        if slot is not None:
            return slot
        delay = self._rates.delay(tokens, now)
        return None if delay is None else _Block(delay.reason, delay.seconds)

    def _no_slot(self, worker: _Worker, now: float) -> _Block | None:
        limit, in_flight = self._concurrency.limit, self.in_flight
        new = worker.idle == 0
        full = in_flight >= limit or (new and self.slots_held >= limit)
        if full or (new and worker.held >= self._keep(worker)):
            return _Block("a free slot", SLOT_RETRY_S, timed=False)
        ready = self.pause.slot_at(in_flight, limit)
        return _Block("coming back after a pause", ready - now) if now < ready else None

    def _keep(self, worker: _Worker) -> int:
        """Slots a worker may hold: its share of the limit, and what others leave of theirs.

        The share is the limit divided by the workers that use or want slots. It is at least one
        slot: a run has no more workers than slots (``execution.workers``).
        """
        limit = self._concurrency.limit
        needs = [w.need for w in self._workers.values() if w is not worker and w.need]
        share = limit / (len(needs) + 1)
        return max(1, limit - sum(min(need, int(share)) for need in needs))
