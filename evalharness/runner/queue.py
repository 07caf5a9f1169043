"""What is still to be sent: fresh trials drawn one by one, and those waiting for another try."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import msgspec

from evalharness.records import Intent, Reply, Trial
from evalharness.store.journal.crash_recovery import Unfinished

_REASON_CHARS = 160


class Job(msgspec.Struct):
    """A trial on its way: how often it was tried, and when it was due.

    ``attempt``, ``sent`` (those of them that left) and ``in_doubt`` count over the whole life of
    the run, since attempts are numbered and doubts reported that way; ``tries``, ``doubts`` and
    ``kinds`` (attempts that ended with an error kind) count this session, whose retry limits they
    are held against. ``reason`` is that of the last failure, for people.
    """

    trial: Trial
    body: bytes
    scheduled_at_ns: int
    attempt: int = 0
    sent: int = 0
    in_doubt: int = 0
    tries: int = 0
    doubts: int = 0
    kinds: dict[str, int] = {}
    reason: str = ""

    @property
    def next_key(self) -> str:
        """Names its next attempt, for money and, behind ``evh-``, the server's logs."""
        return f"{self.trial.trial_id}.{self.attempt + 1}"

    def begin(
        self,
        key: str,
        at_ns: int,
        *,
        in_flight: int,
        reserved: Decimal | None,
        measurement: int | None = None,
    ) -> Intent:
        """Count another attempt; its intent.

        Args:
            key: :attr:`next_key`.
            at_ns: wall clock.
            in_flight: requests on the wire when this one goes, itself included.
            reserved: US dollars set aside for it; None without a price.
            measurement: of a load point that it belongs to.
        """
        trial = self.trial
        self.attempt += 1
        self.tries += 1
        return Intent(
            trial_id=trial.trial_id,
            prompt_id=trial.prompt.prompt_id,
            setting_id=trial.setting.setting_id,
            repeat=trial.repeat,
            position=trial.position,
            attempt=self.attempt,
            client_request_id=f"evh-{key}",
            admitted_at_ns=at_ns,
            in_flight=in_flight,
            reserved_usd=reserved,
            measurement=measurement,
        )

    def failed(self, reply: Reply, reason: str) -> None:
        """Count an attempt that did not become the record, and why there is another."""
        self.kinds[str(reply.error_kind)] = self.failures(reply) + 1
        self.reason = reason[:_REASON_CHARS]

    def failures(self, reply: Reply) -> int:
        """Earlier attempts of this session that ended with the error kind of ``reply``."""
        return self.kinds.get(str(reply.error_kind), 0) if self.kinds else 0

    def doubted(self) -> None:
        """Count an attempt whose outcome nobody knows."""
        self.in_doubt += 1
        self.doubts += 1


class _Queue:
    """The work for one endpoint."""

    def __init__(self, trials: Iterator[Trial]) -> None:
        self._stretches = deque([trials])
        self._next: Trial | None = None
        self.waiting: list[tuple[float, int, Job]] = []

    def extend(self, trials: Iterator[Trial]) -> None:
        """More trials, after those there are."""
        self._stretches.append(trials)

    def fresh(self) -> Trial | None:
        """The next trial that was not started yet; it stays."""
        while self._next is None and self._stretches:
            self._next = next(self._stretches[0], None)
            if self._next is None:
                self._stretches.popleft()
        return self._next

    def draw(self) -> Trial:
        """Take that trial away."""
        trial, self._next = self._next, None
        assert trial is not None
        return trial

    def pop(self, now: float) -> tuple[Job, float]:
        """The job due first, and how long until then."""
        due, _, job = heapq.heappop(self.waiting)
        return job, max(0.0, due - now)


class Backlog:
    """Hands out jobs: a retry that is due, else a fresh trial, else the retry due next.

    Work for an endpoint that admits nobody at present comes last, so that it occupies no worker
    while other endpoints could be asked; else trials come in the order of the plan. There is no
    waiting in here and no list of trials. A worker that gets nothing may end: whoever still holds
    a job will itself put it back or finish it.

    Args:
        trials: fresh trials of each endpoint, in sending order; drawn only when needed.
        unfinished: attempts made for trials by an earlier process, by trial_id.
        most_waiting: with this many retries waiting, no fresh trial is started there.
        held: seconds for which an endpoint admits nobody; 0.0 when it does.
    """

    def __init__(
        self,
        trials: Mapping[str, Iterator[Trial]],
        unfinished: Mapping[str, Unfinished],
        *,
        most_waiting: int,
        held: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self._queues = {name: _Queue(fresh) for name, fresh in trials.items()}
        self._only = next(iter(self._queues.values())) if len(trials) == 1 else None
        self._unfinished = unfinished
        self._tie = itertools.count()
        self._most_waiting = most_waiting
        self._held = held

    def put_back(self, job: Job, due: float) -> None:
        """Keep a job until ``due`` on the monotonic clock."""
        waiting = self._queues[job.trial.setting.provider].waiting
        heapq.heappush(waiting, (due, next(self._tie), job))

    def take(self, now: float) -> tuple[Job | Trial, float] | None:
        """The next job and how long to wait before sending it (seconds), None when all is taken."""
        if self._only is not None:
            if not self._only.waiting:
                return None if self._only.fresh() is None else (self._only.draw(), 0.0)
            return self._take([self._only], now)
        holds = {name: self._held(name) for name in self._queues}
        open_now = [queue for name, queue in self._queues.items() if not holds[name]]
        taken = self._take(open_now, now)
        if taken is not None:
            return taken
        for name in sorted(holds, key=lambda name: holds[name]):
            if holds[name] and (taken := self._take([self._queues[name]], now)) is not None:
                return taken[0], max(taken[1], holds[name])
        return None

    def _take(self, queues: list[_Queue], now: float) -> tuple[Job | Trial, float] | None:
        waiting = [queue for queue in queues if queue.waiting]
        first = min(waiting, key=lambda queue: queue.waiting[0], default=None)
        if first is not None and first.waiting[0][0] <= now:
            return first.pop(now)
        fresh = [
            (trial.position, queue)
            for queue in queues
            if len(queue.waiting) < self._most_waiting and (trial := queue.fresh()) is not None
        ]
        if fresh:
            return min(fresh, key=lambda place: place[0])[1].draw(), 0.0
        return None if first is None else first.pop(now)

    async def more(self) -> bool:
        """Where :meth:`take` gave nothing: wait for more; False when there will be none."""
        return False

    def finished(self, trial: Trial) -> None:
        """A trial got its record."""

    def adopt(self, trial: Trial, body: bytes, scheduled_at_ns: int) -> Job:
        """Turn a fresh trial into a job that knows its attempts by an earlier process."""
        job = Job(trial, body, scheduled_at_ns)
        before = self._unfinished.get(trial.trial_id)
        if before is not None:
            job.attempt, job.in_doubt = before.attempts, before.in_doubt
            job.sent = before.sent
        return job
