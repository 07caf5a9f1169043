"""What the last process left in the journal: finished work, retried work, and what is in doubt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evalharness.records import (
    AttemptResult,
    ErrorKind,
    Intent,
    Outcome,
    Reply,
    Status,
)
from evalharness.store.journal.journal_format import (
    Damage,
    encode_row,
    insert_rows,
    quarantine,
    read_entries,
)


@dataclass
class Unfinished:
    """A trial that was tried and has no record yet.

    ``attempts`` is the highest attempt number used; ``sent`` how many of them left (all but those
    known not to have); ``in_doubt`` how many may have been served without our knowing.
    """

    attempts: int = 0
    sent: int = 0
    in_doubt: int = 0


@dataclass
class Recovered:
    """State of a journal at opening."""

    finals: list[AttemptResult] = field(default_factory=list[AttemptResult])
    unfinished: dict[str, Unfinished] = field(default_factory=dict[str, Unfinished])
    newly_in_doubt: list[Intent] = field(default_factory=list[Intent])
    damage: list[Damage] = field(default_factory=list[Damage])


def recover(db: sqlite3.Connection, damage: Sequence[Damage] = ()) -> Recovered:
    """Read the journal, set damaged entries aside, and settle attempts nobody heard back from.

    An intent without a result was being sent when the process died: it becomes an attempt with
    outcome *in doubt*, so that it is listed and never silently forgotten. ``damage`` is what
    opening the journal found.
    """
    found = list(damage)
    state, settled = settle(value for _, value in read_entries(db, damage=found))
    state.damage = found
    db.execute("BEGIN IMMEDIATE")
    quarantine(db, state.damage)
    insert_rows(db, [encode_row(result) for result in settled])
    db.execute("COMMIT")
    return state


def settle(values: Iterable[Intent | AttemptResult]) -> tuple[Recovered, list[AttemptResult]]:
    """Sort a journal's entries; also what becomes of intents without a result."""
    state = Recovered()
    intents: dict[tuple[str, int], Intent] = {}
    done: set[str] = set()
    for value in values:
        if isinstance(value, Intent):
            intents[value.trial_id, value.attempt] = value
            continue
        intents.pop((value.intent.trial_id, value.intent.attempt), None)
        if value.final:
            state.finals.append(value)
            done.add(value.intent.trial_id)
        else:
            _count(state.unfinished, value)
    lost = [intent for intent in intents.values() if intent.trial_id not in done]
    settled = [interrupted(intent) for intent in lost]
    for result in settled:
        _count(state.unfinished, result)
    state.newly_in_doubt = lost
    for trial_id in done:
        state.unfinished.pop(trial_id, None)
    return state, settled


def _count(unfinished: dict[str, Unfinished], result: AttemptResult) -> None:
    state = unfinished.setdefault(result.intent.trial_id, Unfinished())
    state.attempts = max(state.attempts, result.intent.attempt)
    state.sent += result.reply.outcome is not Outcome.NOT_SENT
    if result.reply.outcome is Outcome.IN_DOUBT:
        state.in_doubt += 1


def interrupted(intent: Intent, *, sent: bool = True) -> AttemptResult:
    """What becomes of an attempt nobody waited for: in doubt, or known not to have been sent."""
    message = (
        "the process ended before an answer was recorded" if sent else "stopped before sending"
    )
    return AttemptResult(
        intent=intent,
        reply=Reply(
            outcome=Outcome.IN_DOUBT if sent else Outcome.NOT_SENT,
            status=Status.ERROR,
            error_kind=ErrorKind.INTERRUPTED,
            error_message=message,
        ),
        final=False,
        scheduled_at_ns=intent.admitted_at_ns,
        queue_s=0.0,
    )
