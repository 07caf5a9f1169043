"""A worker's gate: it admits what the coordinator's desk gives leave for.

To the runner it is a :class:`~evalharness.throttle.limiter.Gate` like any other. Retry decisions
are made here, by the same policy; what a decision means for everybody (a pause, an outage, a stop)
is told to the coordinator with the next message, before any leave is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import structs

from evalharness.config.models import LimitsConfig, Profile
from evalharness.distributed.limits.slot_lease import Loan
from evalharness.distributed.limits.slot_messages import AskDesk, Word
from evalharness.distributed.limits.slot_server import Answer, Ask
from evalharness.distributed.limits.wait_queue import Line, Waiting
from evalharness.records import Reply
from evalharness.throttle.blocking import Hold
from evalharness.throttle.clock import Clock
from evalharness.throttle.limiter import Gate
from evalharness.throttle.permit import Permit
from evalharness.throttle.retry import Decision
from evalharness.throttle.token_bucket import Reservation
from evalharness.throttle.waiters import NO_MONEY, Block, Stopped, WaitState

# Messages are at least this far apart: what comes between goes together in the next one.
MESSAGE_EVERY_S = 0.01
# A worker that holds slots says so at least this often, and learns what it may keep.
HEARTBEAT_S = 0.25
_MOST_ASKED = 1_024


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
        self._loan = Loan(self._slots, limits.concurrency)
        self._line = Line()
        self._last: Answer | None = None
        self._last_at = 0.0
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
        return self._loan.keep

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
        waiter = Waiting(tokens_estimate, take, patient=patient)
        if not self._line and self._may_go_alone() and waiter.takes():
            return self._let_go(None)
        self._line.append(waiter)
        self._turn_away()
        self._speak.set()
        try:
            return await waiter.leave
        except asyncio.CancelledError:
            self._line.give_up(waiter)
            raise

    def wake(self) -> None:
        """Money may have become free: whoever waited for it is asked for again."""
        if self._line.short:
            self._line[0].short = False
            self._serve_alone()
            self._speak.set()

    def pause(self, seconds: float, reason: str) -> None:
        """Admit nobody for ``seconds``, here at once and everywhere as soon as it is told."""
        self._holds.pause.begin(self._clock.monotonic(), seconds, reason)
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
            self._holds.pause.begin(now, word.pause_s, word.reason)
        if word.serving is True:
            self.policy.outage.alive()
        elif word.serving is False:
            self.policy.outage.begin(now)
        self._was_out = self.policy.outage.active
        self._heed_outage()
        self._speak.set()

    def _heed_outage(self) -> None:
        if not self.policy.outage.active:
            self._holds.told = None
        self._turn_away()

    def _turn_away(self) -> None:
        """While nobody is admitted, whoever is not patient may do something else."""
        now = self._clock.monotonic()
        hold = self._holds.at(now)
        if hold is not None:
            self._line.turn_away(hold, now)

    def waiting(self) -> WaitState | None:
        """What the first request in line waits for, as the desk said last."""
        last = self._last
        if self._line.short:
            return WaitState.of(NO_MONEY, 0.0, len(self._line))
        if not self._line or last is None or last.reason is None:
            return None
        until = None if last.until_s is None else self._last_at + last.until_s
        now = self._clock.monotonic()
        return WaitState.of(Block(last.reason, until), now, len(self._line))

    def close(self, decision: Decision | None = None) -> None:
        """Admit nothing from now on (see :meth:`Gate.close`)."""
        super().close(decision)
        self._line.close(decision)

    def release(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """Take a permit back: its slot is free for the next in line, or goes back."""
        self._slots.in_flight -= 1
        if isinstance(tokens, int):
            self._loan.ended(tokens, reply)
        if reply is not None and self._needs_leave:
            self._loan.signal(reply, self._clock.monotonic() - permit.admitted_at)
        self._loan.give_back()
        self._serve_alone()
        if self._line or self._needs_leave:
            self._speak.set()

    def hand_on(
        self, permit: Permit, tokens: Reservation | int | None, reply: Reply | None
    ) -> None:
        """As :meth:`release`: nobody stands ready here, for a slot may be wanted elsewhere."""
        self.release(permit, tokens, reply)

    # ── slots ────────────────────────────────────────────────────────────────────────────────

    def _may_go_alone(self) -> bool:
        """Whether an idle slot is leave enough."""
        if self._needs_leave or not self._loan.spare:
            return False
        if self.policy.outage.active:  # one probe for all workers
            return False
        return self._holds.at(self._clock.monotonic()) is None

    def _let_go(self, number: int | None) -> Permit:
        now = self._clock.monotonic()
        return Permit(self, now, self._slots.take(now), number)

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
                self._loan.unused(number)
                return
        except Exception as error:
            self._line.popleft()
            waiter.leave.set_exception(error)
            self._loan.unused(number)
            return
        self._line.popleft()
        permit = self._let_go(number)
        if gone:
            permit.done(None)
        else:
            waiter.leave.set_result(permit)

    # ── talking ──────────────────────────────────────────────────────────────────────────────

    def _tell(self, word: Word) -> None:
        self._loan.words.append(word)
        self._speak.set()

    async def _talk(self) -> None:
        """One message at a time, each with all there is to say; the last gives everything back."""
        wait_s = HEARTBEAT_S
        try:
            while not self._leaving:
                await self._clock.wait_for(self._speak, wait_s)
                self._speak.clear()
                answer = await self._say(*self._message())
                wait_s = HEARTBEAT_S if answer.wait_s is None else min(answer.wait_s, HEARTBEAT_S)
                await self._clock.sleep_until(self._clock.monotonic() + MESSAGE_EVERY_S)
            self._loan.give_back_all()
            await self._say(*self._loan.message((), 0))
        except Exception as error:  # without leave nothing is sent any more
            self.close()
            self.on_lost(error)

    def _message(self) -> tuple[Ask, list[Word]]:
        if not self._line:
            self._loan.give_back_idle()
        return self._loan.message(self._line.tokens(_MOST_ASKED), self._loan.idle)

    async def _say(self, ask: Ask, words: list[Word]) -> Answer:
        answer = await self._desk.ask(ask, words)
        self._last, self._last_at = answer, self._clock.monotonic()
        self._loan.heard(answer)
        if answer.held and answer.until_s is not None and answer.reason is not None:
            self._holds.told = Hold(answer.reason, self._last_at + answer.until_s)
            self._turn_away()
        for number in answer.grants:
            if self._line and not self._line[0].short:
                self._serve(number)
            else:  # whoever waited gave up, or found no money
                self._loan.unused(number)
        self._loan.give_back()
        return answer
