"""Conversations in a benchmark: a session arrives, and its later turns follow their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from evalharness.config.models import LoadConfig
from evalharness.records import Reply, Trial
from evalharness.runner.benchmark.attempts import BenchmarkSender, DueTime, PreparedAttempt
from evalharness.runner.benchmark.think_times import think_time_s
from evalharness.runner.benchmark.window import MeasurementWindow
from evalharness.runner.conversations import TurnEnd
from evalharness.throttle.clock import Clock

LEAD_S = 0.05  # from the intent of a later turn to the turn itself


class SessionSender:
    """Sends what arrives, and the later turns where it begins a conversation.

    Args:
        load: of the load point.
        next_turn: the turn that follows a trial with its answer; None without conversations.
        window: says which turns are measured, and which are not sent any more.
        attempts: prepares them.
        halted: nothing more is sent.
        clock: where time comes from.
        send_until_final: sends a request until there is a final reply; None where the run stops.

    Attributes:
        anchor: of the schedule, on the clock.
    """

    def __init__(
        self,
        load: LoadConfig,
        next_turn: Callable[[Trial, str], Trial | None] | None,
        window: MeasurementWindow,
        attempts: BenchmarkSender,
        halted: asyncio.Event,
        clock: Clock,
        send_until_final: Callable[[PreparedAttempt, DueTime], Awaitable[Reply | None]],
    ) -> None:
        self._load = load
        self._next_turn = next_turn
        self._window = window
        self._attempts = attempts
        self._halted = halted
        self._clock = clock
        self._send_until_final = send_until_final
        self.anchor = 0.0

    @property
    def has_turns(self) -> bool:
        """Whether there are conversations."""
        return self._next_turn is not None

    async def send(self, ready: PreparedAttempt, due: DueTime) -> None:
        """Send a request and, where it begins a conversation, its later turns one by one.

        The conversation ends with a turn that has no answer to go on from, and with the window.
        """
        trial, measurement = ready.job.trial, ready.intent.measurement
        reply = await self._send_until_final(ready, due)
        if self._next_turn is None or trial.prompt.turn is None or measurement is None:
            return
        while reply is not None and (answer := TurnEnd.of(reply).answer) is not None:
            following = self._next_turn(trial, answer)
            if following is None:
                return
            trial, reply = following, await self._send_turn(following, measurement)

    async def _send_turn(self, turn: Trial, measurement: int) -> Reply | None:
        """Send a later turn after its think time; None where it is not sent."""
        due_at = self._clock.monotonic() + think_time_s(self._load, turn)
        at = due_at - self.anchor
        # Its intent is made durable shortly before, so that a kill leaves few of them in doubt.
        if self._window.is_over_at(at) or await self._wait_until(due_at - LEAD_S):
            return None
        phase = self._window.next_turn_phase(at)
        if phase is None:
            return None
        ready = await self._attempts.prepare(turn, measurement)
        if await self._wait_until(due_at):
            self._attempts.discard(ready, due_at)
            return None
        return await self._send_until_final(ready, DueTime(due_at, phase))

    async def _wait_until(self, due: float) -> bool:
        """Wait for a moment on the clock; whether nothing more is sent."""
        # A loop may wake a timer up to a millisecond early, hence the second look.
        while (wait_s := due - self._clock.monotonic()) > 0 and not self._halted.is_set():
            await self._clock.wait_for(self._halted, wait_s)
        return self._halted.is_set()
