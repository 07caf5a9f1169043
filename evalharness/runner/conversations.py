"""Conversations of a batch run: a turn is sent once the turns before have their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from evalharness.planning.plan import Plan
from evalharness.records import Reply, Trial
from evalharness.runner.queue import Backlog
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from evalharness.store.parts.recorded_answers import RecordedAnswer


class TurnEnd(NamedTuple):
    """What the next turn can go on from.

    Attributes:
        answer: the text, as it stands in the messages of later turns; None where there is none.
        reason: why there is none, as the end of a sentence.
    """

    answer: str | None
    reason: str = ""

    @classmethod
    def of(cls, turn: RecordedAnswer | Reply) -> TurnEnd:
        """The end of a turn by its record or by its final reply."""
        if turn.tool_calls_json is not None:
            return cls(None, "its answer calls tools, which a turn of the user cannot follow")
        if turn.text:
            return cls(turn.text)
        cause = "" if turn.error_kind is None else f" ({turn.error_kind})"
        return cls(None, f"it ended as {turn.status}{cause}, without a text")


class ConversationBacklog(Backlog):
    """A backlog that hands out the first missing turn of each conversation, and later ones in turn.

    The next turn comes before other fresh trials, so that few conversations are open at once. Where
    a turn has no answer to go on from, the later ones are recorded as not sent.

    Args:
        trials: of :meth:`~evalharness.planning.plan.Plan.first_trials`, by endpoint.
        unfinished, max_waiting, blocked_for_s: as in :class:`~evalharness.runner.queue.Backlog`.
        plan: knows which turn follows which.
        recorded: turns that have their record, by trial_id.
        record_unasked: records a trial as not sent, and why.
    """

    def __init__(
        self,
        trials: Mapping[str, Iterator[Trial]],
        unfinished: Mapping[str, UnfinishedTrial],
        *,
        plan: Plan,
        recorded: dict[str, RecordedAnswer],
        record_unasked: Callable[[Trial, str], None],
        max_waiting: int,
        blocked_for_s: Callable[[str], float],
    ) -> None:
        super().__init__(
            {name: self._first_missing_turns(fresh) for name, fresh in trials.items()},
            unfinished,
            max_waiting=max_waiting,
            blocked_for_s=blocked_for_s,
        )
        self._plan = plan
        self._recorded = recorded
        self._record_unasked = record_unasked

    def finish(self, trial: Trial, reply: Reply) -> None:
        """A trial got its record: the next turn of its conversation can be sent."""
        if trial.prompt.turn is None:
            return
        following = self._first_missing(self._turn_after(trial, TurnEnd.of(reply)))
        if following is not None:
            self.put_first(following)

    def _first_missing_turns(self, first_turns: Iterator[Trial]) -> Iterator[Trial]:
        for trial in first_turns:
            missing = self._first_missing(trial)
            if missing is not None:
                yield missing

    def _first_missing(self, trial: Trial | None) -> Trial | None:
        """The first turn without a record, from ``trial`` on; None where none is to be sent."""
        while trial is not None and trial.trial_id in self._recorded:
            trial = self._turn_after(trial, TurnEnd.of(self._recorded.pop(trial.trial_id)))
        return trial

    def _turn_after(self, trial: Trial, end: TurnEnd) -> Trial | None:
        """The turn after one that has ended so; None where the conversation ends with it."""
        if end.answer is not None:
            return self._plan.next_turn(trial, end.answer)
        reason = f"turn {trial.prompt.turn} of this conversation has no answer: {end.reason}"
        later = self._plan.next_turn(trial, "")
        while later is not None:
            if self._recorded.pop(later.trial_id, None) is None:
                self._record_unasked(later, reason)
            later = self._plan.next_turn(later, "")
        return None
