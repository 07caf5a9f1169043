"""Progress of workers: counted in each worker, shown by the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from evalharness.distributed.messages import CounterDelta
from evalharness.records import Reply, Status


class ProgressCounters:
    """Counts the progress of one worker, for its reports to the driver."""

    def __init__(self) -> None:
        self._counters = CounterDelta()

    def start(self, *, total: int, done: int, label: str) -> None:
        """Nothing: the driver shows the bar."""

    def count_attempt(self, reply: Reply, cost_usd: Decimal | None) -> None:
        """Count tokens and cost."""
        counters, usage = self._counters, reply.usage
        counters.tokens += (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        if cost_usd is None:
            counters.unknown += 1
        else:
            counters.cost_usd = (counters.cost_usd or Decimal(0)) + cost_usd

    def count_trial(self, reply: Reply) -> None:
        """Count a record."""
        self._counters.finished += 1
        self._counters.failed += reply.status is Status.ERROR

    def count_worker(
        self, *, finished: int, failed: int, tokens: int, cost_usd: Decimal | None, unknown: int
    ) -> None:
        """Nothing: a worker has no workers."""

    def show_wait(self, reason: str | None, left_s: float | None = None) -> None:
        """Note what is waited for."""
        self._counters.waiting = None if reason is None else (reason, left_s)

    def set_paused(self, paused: bool) -> None:
        """Nothing: a run on workers is not paused."""

    def show_workers(self, text: str) -> None:
        """Nothing: a worker has no workers."""

    def print_line(self, text: str) -> None:
        """Nothing: a worker has no terminal."""

    def close(self) -> None:
        """Nothing: there is no bar."""

    def take(self) -> CounterDelta:
        """What was counted since the last call."""
        counters = self._counters
        self._counters = CounterDelta(waiting=counters.waiting)
        return counters


# Rates are over at least this: messages that come together would make them too high.
_MIN_S = 0.1


class WorkerRates:
    """How many trials a second each worker finishes, by its last report.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._reported_at = now
        self._rates: dict[str, float] = {}

    def update(self, reports: Mapping[str, CounterDelta], alive: Sequence[str], now: float) -> str:
        """Take reports since the last call; returns a text with the rates of workers ``alive``.

        A worker without a report so far is shown as ``-``.
        """
        seconds = max(_MIN_S, now - self._reported_at)
        self._reported_at = now
        self._rates.update((name, delta.finished / seconds) for name, delta in reports.items())
        rates = (f"{self._rates[name]:.0f}" if name in self._rates else "-" for name in alive)
        noun = "worker" if len(alive) == 1 else "workers"
        return f"{len(alive)} {noun} ({' '.join(rates)} /s)"
