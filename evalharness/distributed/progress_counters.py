"""Progress of a worker, which has no terminal: counted, and told to the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from evalharness.distributed.messages import Counted
from evalharness.records import Reply, Status


class Counting:
    """Progress of one worker, to be told to the driver now and then."""

    def __init__(self) -> None:
        self._now = Counted()

    def start(self, *, total: int, done: int, label: str) -> None:
        """Nothing: the driver shows the bar."""

    def attempted(self, reply: Reply, cost_usd: Decimal | None) -> None:
        """Count tokens and cost."""
        now, usage = self._now, reply.usage
        now.tokens += (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        if cost_usd is None:
            now.unknown += 1
        else:
            now.cost_usd = (now.cost_usd or Decimal(0)) + cost_usd

    def finished(self, reply: Reply) -> None:
        """Count a record."""
        self._now.finished += 1
        self._now.failed += reply.status is Status.ERROR

    def counted(
        self, *, finished: int, failed: int, tokens: int, cost_usd: Decimal | None, unknown: int
    ) -> None:
        """Nothing: a worker has no workers."""

    def waiting(self, reason: str | None, left_s: float | None = None) -> None:
        """Remember what is waited for."""
        self._now.waiting = None if reason is None else (reason, left_s)

    def working(self, text: str) -> None:
        """Nothing: a worker has no workers."""

    def say(self, text: str) -> None:
        """Nothing: a worker has no terminal, and opens nothing that talks."""

    def close(self) -> None:
        """Nothing to take away."""

    def take(self) -> Counted:
        """What was counted since the last call."""
        taken, self._now = self._now, Counted(waiting=self._now.waiting)
        return taken


# Two messages that come together are no rate.
_LEAST_S = 0.1


class Rates:
    """How many trials a second each worker finishes, as it told last.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._told_at = now
        self._rates: dict[str, float] = {}

    def told(self, counted: Mapping[str, Counted], alive: Sequence[str], now: float) -> str:
        """The workers that live, with what some of them have told since the last call.

        One that has told nothing yet is shown as ``-``.
        """
        seconds = max(_LEAST_S, now - self._told_at)
        self._told_at = now
        self._rates.update((name, one.finished / seconds) for name, one in counted.items())
        shown = (f"{self._rates[name]:.0f}" if name in self._rates else "-" for name in alive)
        noun = "worker" if len(alive) == 1 else "workers"
        return f"{len(alive)} {noun} ({' '.join(shown)} /s)"
