"""What the driver knows of a lost worker's trials, and who has what: without Ray."""

from __future__ import annotations

import msgspec

from evalharness.distributed.backlog import counted_over
from evalharness.records import AttemptResult, Outcome
from evalharness.store.recovery import Unfinished
from tests.store.helpers import result


def of(outcome: Outcome, attempt: int) -> AttemptResult:
    made = result(0, attempt, final=False)
    return msgspec.structs.replace(made, reply=msgspec.structs.replace(made.reply, outcome=outcome))


def test_attempts_of_others_are_counted_over_those_of_earlier_sessions() -> None:
    """Numbers used, those that left, and those in doubt are three counts; none is another."""
    known = Unfinished(attempts=3, sent=2, in_doubt=1)
    more = [of(Outcome.REJECTED, 3), of(Outcome.NOT_SENT, 4), of(Outcome.IN_DOUBT, 5)]
    assert counted_over(more, known) == Unfinished(attempts=5, sent=3, in_doubt=2)
    assert known == Unfinished(attempts=3, sent=2, in_doubt=1)
    assert counted_over(more[1:], None) == Unfinished(attempts=5, sent=1, in_doubt=1)
