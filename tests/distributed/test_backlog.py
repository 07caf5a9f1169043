"""What a worker is told of a shard whose worker was lost, before it goes on with it."""

from __future__ import annotations

from pathlib import Path

from evalharness.distributed.backlog import PulledBacklog
from evalharness.distributed.messages import Again, Pulled
from evalharness.distributed.shard_board import Shard
from evalharness.records import AttemptResult
from evalharness.store.journal.crash_recovery import Unfinished
from tests.distributed.test_estate import answered, intents
from tests.test_plan import dataset, plan

__all__ = ["dataset"]


class Office:
    """Has one shard to give."""

    def __init__(self, pulled: Pulled) -> None:
        self._answers = [Pulled(None, over=True), pulled]

    async def take(self) -> Pulled:
        return self._answers.pop()


async def nothing() -> None:
    """No part to make."""


async def test_attempts_in_a_part_without_records_keep_their_numbers(dataset: Path) -> None:
    """They are in that part, so they are not carried along; those in no part are."""
    made = plan(dataset)
    first, second, *_ = intents(made)
    rejected = [answered(one, final=False) for one in (first, second)]
    again = Again(b"", {second.trial_id: [rejected[1]]}, {first.trial_id: Unfinished(2, 2)})
    carried: list[AttemptResult] = []
    trials = list(made.trials(stop=2))
    backlog = PulledBacklog(
        ["local"], Office(Pulled(Shard(0, 2), False, again)), lambda _: trials, {},
        earlier={first.trial_id: [rejected[0]]}, carry=carried.append,
        completed=lambda _: None, idle=nothing, most_waiting=1, held=lambda _: 0.0,
    )  # fmt: skip
    assert backlog.take(0.0) is None
    assert await backlog.more()
    jobs = [backlog.adopt(trial, b"{}", 0) for trial in trials]
    assert [(job.attempt, job.sent) for job in jobs] == [(2, 2), (1, 1)]
    assert carried == [rejected[1]]
    backlog.close()
