"""A backlog that pulls shards of the plan as it needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from evalharness.distributed.messages import ShardAssignment, ShardHistory
from evalharness.distributed.shard_board import Shard
from evalharness.records import AttemptResult, Outcome, Reply, Trial
from evalharness.runner.queue import Backlog, Job
from evalharness.store.journal.crash_recovery import UnfinishedTrial

# All shards are taken, but a worker may die and its shards go to others.
RETRY_TAKE_S = 0.25


class ShardSource(Protocol):
    """Where shards come from; raises what the connection raises."""

    async def take_shard(self) -> ShardAssignment:
        """Take the next shard."""
        ...


class ShardBacklog(Backlog):
    """Hands out jobs of the shards it holds, and pulls the next before they run out.

    Args:
        providers: names of the endpoints.
        source: where shards come from.
        open_shard: the trials of a shard that are still to be sent, in order.
        unfinished: attempts made by an earlier process, by trial_id.
        earlier: those of them that are in no part.
        record_earlier: puts one of these into this worker's journal, before another attempt.
        on_shard_finished: called with a shard when every trial has its record.
        on_idle: awaited when there is no shard to take and none is being worked on.
        max_waiting, blocked_for_s: as in :class:`~evalharness.runner.queue.Backlog`.
    """

    def __init__(
        self,
        providers: Iterable[str],
        source: ShardSource,
        open_shard: Callable[[ShardAssignment], list[Trial]],
        unfinished: Mapping[str, UnfinishedTrial],
        *,
        earlier: dict[str, list[AttemptResult]],
        record_earlier: Callable[[AttemptResult], None],
        on_shard_finished: Callable[[Shard], None],
        on_idle: Callable[[], Awaitable[None]],
        max_waiting: int,
        blocked_for_s: Callable[[str], float],
    ) -> None:
        self._known = dict(unfinished)
        no_trials = {name: iter(()) for name in providers}
        super().__init__(
            no_trials, self._known, max_waiting=max_waiting, blocked_for_s=blocked_for_s
        )
        self._source = source
        self._open_shard = open_shard
        self._earlier = earlier
        self._record_earlier = record_earlier
        self._on_shard_finished = on_shard_finished
        self._on_idle = on_idle
        self._shard_of: dict[int, Shard] = {}
        self._unfinished_trials: dict[Shard, int] = {}  # that have no record yet
        self._fresh = 0  # trials that were not started yet
        self._pull_below = 0  # with so few of them the next shard is pulled
        self._exhausted = False
        self._pulling: asyncio.Task[None] | None = None
        self.on_lost: Callable[[Exception], None] = lambda _: None

    def take(self, now: float) -> tuple[Job | Trial, float] | None:
        """The next job (see :meth:`Backlog.take`); None also while the next shard is pulled."""
        entry = super().take(now)
        if entry is not None and isinstance(entry[0], Trial):
            self._fresh -= 1
        if self._fresh <= self._pull_below and not self._exhausted:
            self._pull()
        return entry

    async def wait_for_more(self) -> bool:
        """Wait until there may be something to take; False when there never will be again."""
        if self._fresh or self._pulling is None:
            return not self._exhausted
        await asyncio.shield(self._pulling)
        return True

    def close(self) -> None:
        """Pull no more shards."""
        self._exhausted = True
        if self._pulling is not None:
            self._pulling.cancel()

    def make_job(self, trial: Trial, body: bytes, scheduled_at_ns: int) -> Job:
        """See :meth:`Backlog.make_job`; attempts of other processes go into this one's journal."""
        for result in self._earlier.pop(trial.trial_id, ()):
            self._record_earlier(result)
        return super().make_job(trial, body, scheduled_at_ns)

    def finish(self, trial: Trial, reply: Reply) -> None:
        """A trial got its record: perhaps the last of its shard."""
        shard = self._shard_of.pop(trial.position)
        self._unfinished_trials[shard] -= 1
        if not self._unfinished_trials[shard]:
            del self._unfinished_trials[shard]
            self._on_shard_finished(shard)

    def _pull(self) -> None:
        if self._pulling is None:
            self._pulling = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            assignment = await self._source.take_shard()
            if assignment.shard is not None:
                self._open(assignment.shard, assignment)
            elif assignment.exhausted:
                self._exhausted = True
            else:
                if not self._unfinished_trials:
                    await self._on_idle()
                await asyncio.sleep(RETRY_TAKE_S)
        except Exception as error:  # the coordinator is lost: nobody assigns shards any more
            self._exhausted = True
            self.on_lost(error)
        finally:
            self._pulling = None

    def _open(self, shard: Shard, assignment: ShardAssignment) -> None:
        if assignment.history is not None:
            self._add_history(assignment.history)
        trials = self._open_shard(assignment)
        self._pull_below = (shard.stop - shard.start) // 4
        self._fresh += len(trials)
        if not trials:
            self._on_shard_finished(shard)
            return
        self._unfinished_trials[shard] = len(trials)
        self._shard_of.update(dict.fromkeys((t.position for t in trials), shard))
        for name, queue in self._queues.items():
            queue.extend(iter([t for t in trials if t.setting.provider == name]))

    def _add_history(self, history: ShardHistory) -> None:
        for trial_id, tried in history.tried.items():
            self._known[trial_id] = tried
            self._earlier.pop(trial_id, None)  # they are in that part, too
        for trial_id, results in history.earlier.items():
            earlier = self._earlier.setdefault(trial_id, [])
            numbers = {result.intent.attempt for result in earlier}
            earlier += [result for result in results if result.intent.attempt not in numbers]
            self._known[trial_id] = add_attempts(earlier, self._known.get(trial_id))


def add_attempts(results: list[AttemptResult], known: UnfinishedTrial | None) -> UnfinishedTrial:
    """Counts of a trial's attempts: those of earlier sessions, and ``results`` of other workers."""
    counts = UnfinishedTrial() if known is None else replace(known)
    for result in results:
        if result.intent.attempt > counts.attempts:
            counts.attempts = result.intent.attempt
            counts.sent += result.reply.outcome is not Outcome.NOT_SENT
            counts.in_doubt += result.reply.outcome is Outcome.IN_DOUBT
    return counts
