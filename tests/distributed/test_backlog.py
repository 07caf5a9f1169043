"""A worker takes a shard of a lost worker, with what is known of it."""

from __future__ import annotations

from pathlib import Path

from evalharness.distributed.backlog import ShardBacklog
from evalharness.distributed.messages import ShardAssignment, ShardHistory
from evalharness.distributed.shard_board import Shard
from evalharness.records import AttemptResult
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from tests.distributed.test_worker_recovery import answered, intents
from tests.planning.small_plan import plan


class FakeShardSource:
    """Assigns one shard."""

    def __init__(self, assignment: ShardAssignment) -> None:
        self._answers = [ShardAssignment(None, exhausted=True), assignment]

    async def take_shard(self) -> ShardAssignment:
        return self._answers.pop()


async def nothing() -> None:
    """No part to make."""


async def test_attempts_in_a_part_without_records_keep_their_numbers(dataset: Path) -> None:
    """They are in that part, so they are not carried along; those in no part are."""
    made = plan(dataset)
    first, second, *_ = intents(made)
    rejected = [answered(one, final=False) for one in (first, second)]
    history = ShardHistory(
        b"", {second.trial_id: [rejected[1]]}, {first.trial_id: UnfinishedTrial(2, 2)}
    )
    recorded: list[AttemptResult] = []
    trials = list(made.trials(stop=2))
    backlog = ShardBacklog(
        ["local"], FakeShardSource(ShardAssignment(Shard(0, 2), False, history)), lambda _: trials, {},
        earlier={first.trial_id: [rejected[0]]}, record_earlier=recorded.append,
        on_shard_finished=lambda _: None, on_idle=nothing, max_waiting=1,
        blocked_for_s=lambda _: 0.0,
    )  # fmt: skip
    assert backlog.take(0.0) is None
    assert await backlog.wait_for_more()
    jobs = [backlog.make_job(trial, b"{}", 0) for trial in trials]
    assert [(job.attempt, job.sent) for job in jobs] == [(2, 2), (1, 1)]
    assert recorded == [rejected[1]]
    backlog.close()
