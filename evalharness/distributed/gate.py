"""A worker's gate: it admits what the coordinator's desk gives leave for.

To the runner it is a :class:`~evalharness.throttle.gate.Gate` like any other. Retry decisions are
made here, by the same policy; what a decision means for everybody (a pause, an outage, a stop) is
told to the coordinator with the next message, before any leave is asked for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import structs

from evalharness.config import LimitsConfig, Profile
from evalharness.distributed.desk import Answer, Ask, Signalled
from evalharness.distributed.words import AskDesk, Word
from evalharness.records import Reply
from evalharness.throttle.clock import Clock
from evalharness.throttle.concurrency import signal_of
from evalharness.throttle.estimate import tokens_used
from evalharness.throttle.gate import Gate, Permit
from evalharness.throttle.line import NO_MONEY, Held, Hold, Stopped, Waiter, WaitState
from evalharness.throttle.rate import Reservation
from evalharness.throttle.retry import Decision

# Messages are at least this far apart: what comes between goes together in the next one.
MESSAGE_EVERY_S = 0.01
# A worker that holds slots says so at least this often, and learns what it may keep.
HEARTBEAT_S = 0.25
_MOST_ASKED = 1_024


class _Waiter(Waiter):
    """One request in line, and what comes of it: a permit, or why there is none."""

    __slots__ = ("leave",)

    def __init__(self, tokens: int, take: Callable[[], bool] | None, *, patient: bool) -> None:
        super().__init__(tokens, take, patient=patient, early=False)
        self.leave: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()


class SharedGate(Gate):
    """Admits requests of one worker to an endpoint whose limits are shared.

    Use it as an asynchronous context manager: inside, it talks to the desk.

    Args:
        name: the endpoint, for messages.
        limits: of the whole run.
        profile: what differs between providers.
        clock: where time comes from.
        rng_seed: of the backoff's jitter; another one for every worker.
        desk: where leave comes from.
        needs_leave: whether every request needs the desk's leave, rather than a slot alone.

    Attributes:
        on_lost: called with the reason when the desk cannot be reached; the gate is closed then.
    """

    def __init__(
        self,
        name: str,
        limits: LimitsConfig,
        profile: Profile,
        clock: Clock,
        rng_seed: int = 0,
        *,
        desk: AskDesk,
        needs_leave: bool,
    ) -> None:
        alone = structs.replace(limits, rpm=None, tpm=None, adaptive=False)
        super().__init__(name, alone, profile, clock, rng_seed)
        self.reached()  # perhaps by another worker: this one cannot tell a wrong address
        self._desk = desk
        self._needs_leave = needs_leave
        self._held: int = 0
        self._returned: int = 0
        self._keep = limits.concurrency
        self._line: deque[_Waiter] = deque()
        self._words: list[Word] = []
        self._used: list[tuple[int, int | None]] = []
        self._signals: list[Signalled] = []
        self._last: Answer | None = None
        self._last_at = 0.0
        self._held_back: Hold | None = None  # as the desk said
        self.on_lost: Callable[[Exception], None] = lambda _: None
        self._speak = asyncio.Event()
        self._talking: asyncio.Task[None] | None = None
        self._leaving = False

    async def __aenter__(self) -> SharedGate:
        self._talking = asyncio.create_task(self._talk())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._talking is not None
        # Never in the middle of a message: its answer may bring slots.
        self._leaving = True
        self._speak.set()
        await self._talking

    @property
    def spare(self) -> int:
        """None: see :meth:`admit`."""
        return 0

    @property
    def limit(self) -> int:
        """Slots this worker may hold now."""
        return self._keep

    async def admit(
        self,
        tokens_estimate: int = 0,
        *,
        take: Callable[[], bool] | None = None,
        patient: bool = True,
        early: bool = False,
    ) -> Permit:
        """Wait until one request of about that many tokens may go (see :meth:`Gate.admit`).

        Nobody is admitted early: a slot that others could use is not to be waited for with it.
        """
        if self._stopped is not None:
            raise Stopped(self._stopped.decision)
        waiter = _Waiter(tokens_estimate, take, patient=patient)
        if not self._line and self._may_go_alone() and waiter.takes():
            return self._let_go(None)
        self._line.append(waiter)
        self._turn_away()
        self._speak.set()
        try:
            return await waiter.leave
        except asyncio.CancelledError:
            if waiter.leave.done() and not waiter.leave.cancelled():
                if waiter.leave.exception() is None:
                    waiter.leave.result().done(None)
            else:
                self._line.remove(waiter)
            raise

    def wake(self) -> None:
        """Money may have become free: whoever waited for it is asked for again."""
        if self._line and self._line[0].short:
            self._line[0].short = False
            self._serve_alone()
            self._speak.set()

    def pause(self, seconds: float, reason: str) -> None:
        """Admit nobody for ``seconds``, here at once and everywhere as soon as it is told."""
        self._pause.begin(self._clock.monotonic(), seconds, reason)
        self._tell(Word(pause_s=seconds, reason=reason))
        self._turn_away()

    def heed(self, decision: Decision) -> Decision:
        """Apply a decision here, and tell what it means for all workers."""
        out = self._was_out
        super().heed(decision)
        if out != self._was_out:
            self._tell(Word(serving=out, reason=decision.reason))
            self._heed_outage()
        return decision

    def hear(self, word: Word) -> None:
        """Another worker's word reached this one."""
        now = self._clock.monotonic()
        if word.pause_s is not None:
            self._pause.begin(now, word.pause_s, word.reason)
        if word.serving is True:
            self.policy.outage.alive()
        elif word.serving is False:
            self.policy.outage.begin(now)
        self._was_out = self.policy.outage.active
        self._heed_outage()
        self._speak.set()

    def _heed_outage(self) -> None:
        if not self.policy.outage.active:
            self._held_back = None
        self._turn_away()

    def _turn_away(self) -> None:
        """While nobody is admitted, whoever is not patient may do something else."""
        now = self._clock.monotonic()
        hold = self._hold(now)
        if hold is None or all(waiter.patient for waiter in self._line):
            return
        for waiter in [w for w in self._line if not w.patient]:
            self._line.remove(waiter)
            if not waiter.leave.done():
                waiter.leave.set_exception(Held(hold.until - now, hold.reason))

    def _hold(self, now: float) -> Hold | None:
        held = self._held_back
        if held is not None and now >= held.until:
            held = self._held_back = None
        return super()._hold(now) or held

    def waiting(self) -> WaitState | None:
        """What the first request in line waits for, as the desk said last."""
        last = self._last
        if self._line and self._line[0].short:
            return WaitState(NO_MONEY.reason, None, None, len(self._line))
        if not self._line or last is None or last.reason is None:
            return None
        if last.until_s is None:
            return WaitState(last.reason, None, None, len(self._line))
        until = self._last_at + last.until_s
        left = max(0.0, until - self._clock.monotonic())
        return WaitState(last.reason, until, left, len(self._line))

    def close(self, decision: Decision | None = None) -> None:
        """Admit nothing from now on (see :meth:`Gate.close`)."""
        super().close(decision)
        while self._line:
            waiter = self._line.popleft()
            if not waiter.leave.done():
                waiter.leave.set_exception(Stopped(decision))

    def release(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """Take a permit back: its slot is free for the next in line, or goes back."""
        self.in_flight -= 1
        if isinstance(tokens, int):
            self._used.append((tokens, None if reply is None else tokens_used(reply)))
        if reply is not None and self._needs_leave:
            age = self._clock.monotonic() - permit.admitted_at
            self._signals.append(Signalled(signal_of(reply), age))
        self._give_back()
        self._serve_alone()
        if self._line or self._needs_leave:
            self._speak.set()

    def hand_on(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """As :meth:`release`: nobody stands ready here, for a slot may be wanted elsewhere."""
        self.release(permit, tokens, reply)

    # ── slots ────────────────────────────────────────────────────────────────────────────────

    @property
    def _idle(self) -> int:
        return self._held - self.in_flight

    def _may_go_alone(self) -> bool:
        """Whether an idle slot is leave enough."""
        if self._needs_leave or self._idle <= 0 or self._held > self._keep:
            return False
        if self.policy.outage.active:  # one probe for all workers
            return False
        return self._hold(self._clock.monotonic()) is None

    def _let_go(self, number: int | None) -> Permit:
        self.in_flight += 1
        now = self._clock.monotonic()
        self.policy.outage.take(now)
        return Permit(self, now, self.in_flight, number)

    def _serve_alone(self) -> None:
        """Let those go for whom an idle slot is leave enough."""
        while self._line and not self._line[0].short and self._may_go_alone():
            self._serve(None)

    def _serve(self, number: int | None) -> None:
        """Let the first in line go, unless there is no money for it: then it stays first."""
        waiter = self._line[0]
        gone = waiter.leave.done()  # it gave up waiting meanwhile
        try:
            if not gone and not waiter.takes():
                self._unused(number)
                return
        except Exception as error:
            self._line.popleft()
            waiter.leave.set_exception(error)
            self._unused(number)
            return
        self._line.popleft()
        permit = self._let_go(number)
        if gone:
            permit.done(None)
        else:
            waiter.leave.set_result(permit)

    def _unused(self, number: int | None) -> None:
        """Leave that nobody used is used up all the same; only its tokens come back."""
        if number is not None:
            self._used.append((number, 0))

    def _give_back(self) -> None:
        """Slots beyond what may be kept go back as they become idle."""
        back = min(self._idle, self._held - self._keep)
        if back > 0:
            self._held -= back
            self._returned += back

    # ── talking ──────────────────────────────────────────────────────────────────────────────

    def _tell(self, word: Word) -> None:
        self._words.append(word)
        self._speak.set()

    async def _talk(self) -> None:
        """One message at a time, each with all there is to say; the last gives everything back."""
        wait_s = HEARTBEAT_S
        try:
            while not self._leaving:
                await self._clock.wait_for(self._speak, wait_s)
                self._speak.clear()
                answer = await self._say(self._message())
                wait_s = HEARTBEAT_S if answer.wait_s is None else min(answer.wait_s, HEARTBEAT_S)
                await self._clock.sleep_until(self._clock.monotonic() + MESSAGE_EVERY_S)
            self._returned, self._held = self._returned + self._held, 0
            await self._say(Ask((), 0, self._returned, self._used, self._signals))
        except Exception as error:  # without leave nothing is sent any more
            self.close()
            self.on_lost(error)

    def _message(self) -> Ask:
        if not self._line:  # whoever has nothing to send keeps no slot from others
            self._returned, self._held = self._returned + self._idle, self.in_flight
        short = bool(self._line) and self._line[0].short
        most = 0 if short else _MOST_ASKED
        tokens = [w.tokens for _, w in zip(range(most), self._line, strict=False)]
        return Ask(tokens, self._idle, self._returned, self._used, self._signals)

    async def _say(self, ask: Ask) -> Answer:
        words = self._words
        self._words, self._used, self._signals, self._returned = [], [], [], 0
        answer = await self._desk.ask(ask, words)
        self._last, self._last_at = answer, self._clock.monotonic()
        self._keep = answer.keep
        self._held += answer.slots
        if answer.held and answer.until_s is not None and answer.reason is not None:
            self._held_back = Hold(answer.reason, self._last_at + answer.until_s)
            self._turn_away()
        for number in answer.grants:
            if self._line and not self._line[0].short:
                self._serve(number)
            else:  # whoever waited gave up, or found no money
                self._unused(number)
        self._give_back()
        return answer
