"""A :class:`~evalharness.scoring.scorers.human.HumanScorer` with the marks of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from evalharness.records import Status
from evalharness.scoring.base import REASON_ERROR_RECORD, Score
from evalharness.scoring.scorers.human import HumanScorer

REASON_SPLIT = "as many readers say pass as fail"


class ReaderMark(msgspec.Struct, frozen=True):
    """What one reader says of a record."""

    reader: str
    passed: bool
    note: str | None = None


class StoredMarksScorer(HumanScorer, frozen=True, kw_only=True):
    """A :class:`HumanScorer` with the marks of a run, by trial id.

    Attributes:
        marks: all readers' marks of each record that has any.
        damage: why the marks cannot be read; None where they can.
    """

    marks: Mapping[str, Sequence[ReaderMark]]
    damage: str | None = None

    @property
    def reason_unmarked(self) -> str:
        """Why a record without a mark has no score."""
        if self.damage is not None:
            return f"annotations.parquet {self.damage}"
        return super().reason_unmarked

    def score_record(self, trial_id: str, status: str) -> Score:
        """The score of one record."""
        if status == Status.ERROR:
            return Score(None, None, REASON_ERROR_RECORD)
        marks = [
            mark for mark in self.marks.get(trial_id, ()) if self.reader in (None, mark.reader)
        ]
        if not marks:
            return Score(None, None, self.reason_unmarked)
        passed = sum(mark.passed for mark in marks)
        if 2 * passed == len(marks):
            return Score(None, None, REASON_SPLIT)
        return self._finish(Score(float(2 * passed > len(marks)), None, _in_words(marks)))


def _in_words(marks: Sequence[ReaderMark]) -> str:
    phrases = (
        f"{'pass' if mark.passed else 'fail'} by {mark.reader}"
        + ("" if mark.note is None else f" ({mark.note})")
        for mark in marks
    )
    return ", ".join(phrases)
