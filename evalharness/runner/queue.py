"""What is still to be sent: fresh trials drawn one by one, and those waiting for another try."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import msgspec

from evalharness.records import Intent, Reply, Trial
from evalharness.store.journal.crash_recovery import UnfinishedTrial

_REASON_CHARS = 160


def attempt_key(trial_id: str, attempt: int) -> str:
    """Names an attempt for the budget."""
    return f"{trial_id}.{attempt}"


def client_request_id(key: str) -> str:
    """Names an attempt for the server's logs."""
    return f"evh-{key}"


class Job(msgspec.Struct):
    """A trial that is being worked on: how often it was tried, and when it was due.

    ``attempt``, ``sent`` (attempts that were sent) and ``in_doubt`` count over the whole life of
    the run, because attempts are numbered and reported that way. ``session_attempts``,
    ``session_in_doubt`` and ``error_counts`` (attempts by error kind) count this session, for its
    retry limits. ``reason`` is that of the last failure, for people.
    """

    trial: Trial
    body: bytes
    scheduled_at_ns: int
    attempt: int = 0
    sent: int = 0
    in_doubt: int = 0
    session_attempts: int = 0
    session_in_doubt: int = 0
    error_counts: dict[str, int] = {}
    reason: str = ""

    @property
    def next_attempt_key(self) -> str:
        """The key of its next attempt (see :func:`attempt_key`)."""
        return attempt_key(self.trial.trial_id, self.attempt + 1)

    def begin_attempt(
        self,
        key: str,
        at_ns: int,
        *,
        in_flight: int,
        reserved: Decimal | None,
        measurement: int | None = None,
    ) -> Intent:
        """Count another attempt; returns its intent.

        Args:
            key: :attr:`next_attempt_key`.
            at_ns: wall clock.
            in_flight: requests on the wire when this one goes, itself included.
            reserved: US dollars reserved for it; None without a price.
            measurement: number of the load point that it belongs to.
        """
        trial = self.trial
        self.attempt += 1
        self.session_attempts += 1
        return Intent(
            trial_id=trial.trial_id,
            prompt_id=trial.prompt.prompt_id,
            setting_id=trial.setting.setting_id,
            repeat=trial.repeat,
            position=trial.position,
            attempt=self.attempt,
            client_request_id=client_request_id(key),
            admitted_at_ns=at_ns,
            in_flight=in_flight,
            reserved_usd=reserved,
            measurement=measurement,
        )

    def count_failure(self, reply: Reply, reason: str) -> None:
        """Count an attempt that failed and is followed by another; ``reason`` says why."""
        self.error_counts[str(reply.error_kind)] = self.failure_count(reply) + 1
        self.reason = reason[:_REASON_CHARS]

    def failure_count(self, reply: Reply) -> int:
        """Earlier attempts of this session that ended with the error kind of ``reply``."""
        return self.error_counts.get(str(reply.error_kind), 0) if self.error_counts else 0

    def count_in_doubt(self) -> None:
        """Count an attempt of unknown outcome."""
        self.in_doubt += 1
        self.session_in_doubt += 1


class _Queue:
    """The work for one endpoint."""

    def __init__(self, trials: Iterator[Trial]) -> None:
        self._iterators = deque([trials])
        self._next: Trial | None = None
        self.waiting: list[tuple[float, int, Job]] = []

    def extend(self, trials: Iterator[Trial]) -> None:
        """More trials, after those there are."""
        self._iterators.append(trials)

    def put_first(self, trial: Trial) -> None:
        """A trial that comes before all that were not started yet."""
        if self._next is not None:
            self._iterators.appendleft(iter((self._next,)))
        self._next = trial

    def peek(self) -> Trial | None:
        """The next trial that was not started yet; it stays in the queue."""
        while self._next is None and self._iterators:
            self._next = next(self._iterators[0], None)
            if self._next is None:
                self._iterators.popleft()
        return self._next

    def take_fresh(self) -> Trial:
        """Remove that trial from the queue."""
        trial, self._next = self._next, None
        assert trial is not None
        return trial

    def take_due(self, now: float) -> tuple[Job, float]:
        """Remove the job that is due first; how long until then."""
        due, _, job = heapq.heappop(self.waiting)
        return job, max(0.0, due - now)


class Backlog:
    """Hands out jobs: a retry that is due, else a fresh trial, else the retry due next.

    Work for an endpoint that admits nobody at present comes last, so that no worker waits for it
    while other endpoints admit requests; else trials come in the order of the plan. Nothing in
    here waits, and trials are not listed beforehand. A worker that gets nothing may end: the one
    that still has a job puts it back or finishes it itself.

    Args:
        trials: fresh trials of each endpoint, in sending order; drawn only when needed.
        unfinished: attempts made for trials by an earlier process, by trial_id.
        max_waiting: with this many retries waiting, no fresh trial is started there.
        blocked_for_s: seconds for which an endpoint admits nobody; 0.0 when it does.
    """

    def __init__(
        self,
        trials: Mapping[str, Iterator[Trial]],
        unfinished: Mapping[str, UnfinishedTrial],
        *,
        max_waiting: int,
        blocked_for_s: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self._queues = {name: _Queue(fresh) for name, fresh in trials.items()}
        self._only_queue = next(iter(self._queues.values())) if len(trials) == 1 else None
        self._unfinished = unfinished
        self._tie = itertools.count()
        self._max_waiting = max_waiting
        self._blocked_for_s = blocked_for_s

    def put_back(self, job: Job, due: float) -> None:
        """Keep a job until ``due`` on the monotonic clock."""
        waiting = self._queues[job.trial.setting.provider].waiting
        heapq.heappush(waiting, (due, next(self._tie), job))

    def put_first(self, trial: Trial) -> None:
        """A trial that is handed out before other fresh ones of its endpoint."""
        self._queues[trial.setting.provider].put_first(trial)

    def take(self, now: float) -> tuple[Job | Trial, float] | None:
        """The next job and how long to wait before sending it (seconds), None when all is taken."""
        if self._only_queue is not None:
            if not self._only_queue.waiting:
                return (
                    None
                    if self._only_queue.peek() is None
                    else (self._only_queue.take_fresh(), 0.0)
                )
            return self._take([self._only_queue], now)
        blocked_s = {name: self._blocked_for_s(name) for name in self._queues}
        open_queues = [queue for name, queue in self._queues.items() if not blocked_s[name]]
        entry = self._take(open_queues, now)
        if entry is not None:
            return entry
        for name in sorted(blocked_s, key=lambda name: blocked_s[name]):
            if blocked_s[name] and (entry := self._take([self._queues[name]], now)) is not None:
                return entry[0], max(entry[1], blocked_s[name])
        return None

    def _take(self, queues: list[_Queue], now: float) -> tuple[Job | Trial, float] | None:
        waiting = [queue for queue in queues if queue.waiting]
        first = min(waiting, key=lambda queue: queue.waiting[0], default=None)
        if first is not None and first.waiting[0][0] <= now:
            return first.take_due(now)
        fresh = [
            (trial.position, queue)
            for queue in queues
            if len(queue.waiting) < self._max_waiting and (trial := queue.peek()) is not None
        ]
        if fresh:
            return min(fresh, key=lambda entry: entry[0])[1].take_fresh(), 0.0
        return None if first is None else first.take_due(now)

    async def wait_for_more(self) -> bool:
        """After :meth:`take` has returned None: wait for more; False when there will be none."""
        return False

    def finish(self, trial: Trial, reply: Reply) -> None:
        """A trial got its record, of its final reply."""

    def make_job(self, trial: Trial, body: bytes, scheduled_at_ns: int) -> Job:
        """Turn a fresh trial into a job that counts its attempts by an earlier process."""
        job = Job(trial, body, scheduled_at_ns)
        earlier = self._unfinished.get(trial.trial_id)
        if earlier is not None:
            job.attempt, job.in_doubt = earlier.attempts, earlier.in_doubt
            job.sent = earlier.sent
        return job
