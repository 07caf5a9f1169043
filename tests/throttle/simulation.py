"""A small runner on virtual time: workers, a queue of trials, and a server that is a function."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from evalharness.records import Outcome, Reply
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.retry_policy import Action, Decision
from evalharness.throttle.waiters import LimiterClosed
from tests.throttle.manual_clock import ManualClock


@dataclass
class Trial:
    tokens: int = 10
    latency_s: float = 1.0
    attempts: int = 0
    in_doubt: int = 0
    record: Reply | None = None


@dataclass
class Sent:
    at: float
    tokens: int
    in_flight: int


@dataclass
class Simulation:
    """``server(now, trial)`` answers each attempt ``trial.latency_s`` after it was sent."""

    gate: EndpointLimiter
    clock: ManualClock
    server: Callable[[float, Trial], Reply]
    trials: list[Trial]
    sent: list[Sent] = field(default_factory=list)
    decided: list[tuple[float, Decision]] = field(default_factory=list)
    stopped: list[LimiterClosed] = field(default_factory=list)

    async def run(self, workers: int) -> None:
        queue = deque(self.trials)
        await asyncio.gather(*(self._worker(queue) for _ in range(workers)))

    async def _worker(self, queue: deque[Trial]) -> None:
        while queue:
            trial = queue.popleft()
            try:
                await self._trial(trial, queue)
            except LimiterClosed as stopped:
                self.stopped.append(stopped)
                return

    async def _trial(self, trial: Trial, queue: deque[Trial]) -> None:
        while True:
            permit = await self.gate.admit(trial.tokens)
            now = self.clock.monotonic()
            self.sent.append(Sent(now, trial.tokens, permit.in_flight))
            trial.attempts += 1
            await self.clock.sleep_until(now + trial.latency_s)
            reply = self.server(self.clock.monotonic(), trial)
            decision = permit.decide(reply, trial.attempts, trial.in_doubt)
            self.decided.append((self.clock.monotonic(), decision))
            permit.release(reply)
            trial.in_doubt += reply.outcome is Outcome.IN_DOUBT
            if decision.final:
                trial.record = reply
                return
            if decision.stops:
                return
            if decision.action is Action.PARK:
                queue.append(trial)
                return
            assert decision.wait_s is not None
            await self.clock.sleep_until(self.clock.monotonic() + decision.wait_s)
