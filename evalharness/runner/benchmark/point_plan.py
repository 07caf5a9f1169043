"""What one measurement sends, and the share of it that one of several workers sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from evalharness.config.models import LoadConfig
from evalharness.records import Trial


class LoadShare(NamedTuple):
    """The requests of a schedule that one of several workers sends: every ``workers``-th.

    Request i is that of the worker ``i % workers``, so that each has the same arrivals, thinner.
    """

    worker: int = 0
    workers: int = 1

    def owns(self, number: int) -> bool:
        """Whether this worker sends that request, counted from 0."""
        return number % self.workers == self.worker

    def of(self, total: int) -> int:
        """How many of so many requests, or places in flight, are this worker's."""
        return len(range(self.worker, total, self.workers))


class LoadPointPlan(NamedTuple):
    """What one measurement sends.

    ``trials`` never end (a replay's do); ``measured`` is the maximum of requests to measure, None
    where only time ends it; ``trace`` holds a replay's due times. Of several workers each has the
    whole schedule of an open loop, but only its share of the trials, and of a closed loop its share
    of everything. ``background`` are the trials of ``load.background``, which never end either.
    ``next_turn`` gives the turn of a conversation that follows a trial with its answer, None where
    there is none; without it there are no conversations. With them ``measured`` counts these.
    """

    load: LoadConfig
    trials: Iterator[Trial]
    measured: int | None
    trace: Sequence[float] = ()
    share: LoadShare = LoadShare()
    background: Iterable[Trial] = ()
    next_turn: Callable[[Trial, str], Trial | None] | None = None
