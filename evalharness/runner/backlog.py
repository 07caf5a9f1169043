"""What is still to be sent: fresh trials drawn one by one, and those waiting for another try."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evalharness.records import Reply, Trial
from evalharness.store.recovery import Unfinished

_REASON_CHARS = 160


@dataclass
class Job:
    """A trial on its way: how often it was tried, and when it was due.

    ``attempt`` and ``in_doubt`` count over the whole life of the run, since attempts are numbered
    and doubts reported that way; ``tries``, ``doubts`` and ``kinds`` (attempts that ended with an
    error kind) count this session, whose retry limits they are held against. ``reason`` is that of
    the last failure, for people.
    """

    trial: Trial
    body: bytes
    scheduled_at_ns: int
    attempt: int = 0
    in_doubt: int = 0
    tries: int = 0
    doubts: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    reason: str = ""

    def failed(self, reply: Reply, reason: str) -> None:
        """Count an attempt that did not become the record, and why there is another."""
        self.kinds[str(reply.error_kind)] += 1
        self.reason = reason[:_REASON_CHARS]

    def doubted(self) -> None:
        """Count an attempt whose outcome nobody knows."""
        self.in_doubt += 1
        self.doubts += 1


class Backlog:
    """Hands out jobs: a retry that is due, else a fresh trial, else the retry due next.

    There is no waiting in here and no list of trials. A worker that gets nothing may end: whoever
    still holds a job will itself put it back or finish it.

    Args:
        trials: fresh trials, in sending order; drawn only when needed.
        unfinished: attempts made for trials by an earlier process, by trial_id.
        most_waiting: with this many retries waiting, no fresh trial is started.
    """

    def __init__(
        self, trials: Iterator[Trial], unfinished: Mapping[str, Unfinished], *, most_waiting: int
    ) -> None:
        self._fresh: Iterator[Trial] | None = trials
        self._unfinished = unfinished
        self._waiting: list[tuple[float, int, Job]] = []
        self._tie = itertools.count()
        self._most_waiting = most_waiting

    @property
    def waiting(self) -> int:
        """Jobs waiting for another try."""
        return len(self._waiting)

    def put_back(self, job: Job, due: float) -> None:
        """Keep a job until ``due`` on the monotonic clock."""
        heapq.heappush(self._waiting, (due, next(self._tie), job))

    def take(self, now: float) -> tuple[Job | Trial, float] | None:
        """The next job and how long to wait before sending it (seconds), None when all is taken."""
        waiting = self._waiting
        if waiting and (waiting[0][0] <= now or len(waiting) >= self._most_waiting):
            return self._pop(now)
        trial = self._next_fresh()
        if trial is not None:
            return trial, 0.0
        return self._pop(now) if waiting else None

    def adopt(self, trial: Trial, body: bytes, scheduled_at_ns: int) -> Job:
        """Turn a fresh trial into a job that knows its attempts by an earlier process."""
        job = Job(trial, body, scheduled_at_ns)
        before = self._unfinished.get(trial.trial_id)
        if before is not None:
            job.attempt, job.in_doubt = before.attempts, before.in_doubt
        return job

    def _pop(self, now: float) -> tuple[Job, float]:
        due, _, job = heapq.heappop(self._waiting)
        return job, max(0.0, due - now)

    def _next_fresh(self) -> Trial | None:
        if self._fresh is None:
            return None
        trial = next(self._fresh, None)
        if trial is None:
            self._fresh = None
        return trial
