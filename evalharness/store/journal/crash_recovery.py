"""Recovery after a crash: attempts that were being sent when the process died become in doubt.

Done each time a run folder is opened for writing, after :mod:`.repair` has opened the journal.
An intent without a result means that a request was perhaps sent; its trial is tried again.
"""

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
class UnfinishedTrial:
    """A trial that was tried and has no record yet.

    ``attempts`` is the highest attempt number used; ``sent`` counts those that were sent, or may
    have been; ``in_doubt`` counts those whose outcome is unknown.
    """

    attempts: int = 0
    sent: int = 0
    in_doubt: int = 0


@dataclass
class CrashRecovery:
    """The state of a journal when it is opened.

    Attributes:
        finals: results that are the last of their trial.
        unfinished: trials without such a result, by trial_id.
        newly_in_doubt: intents that had no result.
        waiting: intents without a result whose requests are in a file of a batch, which the
            provider may still be working on (see :mod:`evalharness.store.journal.batch_files`).
        damage: what was damaged in the journal.
    """

    finals: list[AttemptResult] = field(default_factory=list[AttemptResult])
    unfinished: dict[str, UnfinishedTrial] = field(default_factory=dict[str, UnfinishedTrial])
    newly_in_doubt: list[Intent] = field(default_factory=list[Intent])
    waiting: list[Intent] = field(default_factory=list[Intent])
    damage: list[Damage] = field(default_factory=list[Damage])


def recover_journal(db: sqlite3.Connection, damage: Sequence[Damage] = ()) -> CrashRecovery:
    """Read the journal, quarantine damaged entries, and write a result for each open intent.

    An intent without a result was being sent when the process died. It becomes an attempt with
    outcome *in doubt*, so that it is listed and counted. ``damage`` is what :mod:`.repair` found
    when it opened the journal.
    """
    all_damage = list(damage)
    state, in_doubt = recover_entries(value for _, value in read_entries(db, damage=all_damage))
    state.damage = all_damage
    db.execute("BEGIN IMMEDIATE")
    quarantine(db, state.damage)
    insert_rows(db, [encode_row(result) for result in in_doubt])
    db.execute("COMMIT")
    return state


def recover_entries(
    values: Iterable[Intent | AttemptResult],
) -> tuple[CrashRecovery, list[AttemptResult]]:
    """The state that a journal's entries give, and results for intents without one."""
    state = CrashRecovery()
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
    unanswered = [intent for intent in intents.values() if intent.trial_id not in done]
    state.waiting = [intent for intent in unanswered if intent.batch_file is not None]
    lost = [intent for intent in unanswered if intent.batch_file is None]
    in_doubt = [interrupted_attempt(intent) for intent in lost]
    for result in in_doubt:
        _count(state.unfinished, result)
    state.newly_in_doubt = lost
    for trial_id in done:
        state.unfinished.pop(trial_id, None)
    return state, in_doubt


def _count(unfinished: dict[str, UnfinishedTrial], result: AttemptResult) -> None:
    state = unfinished.setdefault(result.intent.trial_id, UnfinishedTrial())
    state.attempts = max(state.attempts, result.intent.attempt)
    state.sent += result.reply.outcome is not Outcome.NOT_SENT
    if result.reply.outcome is Outcome.IN_DOUBT:
        state.in_doubt += 1


def interrupted_attempt(intent: Intent, *, sent: bool = True) -> AttemptResult:
    """The result of an attempt that was interrupted: in doubt if it may have been sent."""
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
