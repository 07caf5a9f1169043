"""Scores of single records by the marks that people gave them.

Every other scorer scores an output once, however many records have it. Readers mark records, and
may mark two records with the same output differently.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalharness.columnar.arrow_ops import index_in
from evalharness.columnar.record_store import RecordStore
from evalharness.records import Status
from evalharness.scoring.base import REASON_ERROR_RECORD, Score
from evalharness.scoring.marks.stored_marks import StoredMarksScorer

if TYPE_CHECKING:
    import numpy.typing as npt


class MarkedScores(NamedTuple):
    """Scores of all records by their marks.

    Attributes:
        values: one a record, NaN where not scored.
        scores: of the records that have a mark, by their row.
        why_null: how many records have no score, by reason.
        others: the score of a record that has no mark.
    """

    values: npt.NDArray[np.float64]
    scores: dict[int, Score]
    why_null: Counter[str]
    others: Score

    def of(self, row: int) -> Score:
        """The score of one record."""
        return self.scores.get(row, self.others)


def score_marked(records: RecordStore, scorer: StoredMarksScorer) -> MarkedScores:
    """Score records by their marks; ``records`` holds ``trial_id`` and ``status``."""
    rows = marked_rows(records, scorer.marks)
    order = np.array(list(rows), np.int64)
    statuses = records.take("status", order)
    scores = {
        row: scorer.score_record(trial_id, str(status))
        for (row, trial_id), status in zip(rows.items(), statuses, strict=True)
    }
    values = np.full(len(records), math.nan)
    why_null: Counter[str] = Counter()
    for row, score in scores.items():
        if score.value is None:
            why_null[score.explanation] += 1
        else:
            values[row] = score.value
    unmarked_errors = _count_errors(records) - statuses.count(Status.ERROR.value)
    why_null[REASON_ERROR_RECORD] += unmarked_errors
    why_null[scorer.reason_unmarked] += len(records) - len(rows) - unmarked_errors
    return MarkedScores(values, scores, +why_null, Score(None, None, scorer.reason_unmarked))


def marked_rows(records: RecordStore, trial_ids: Iterable[str]) -> dict[int, str]:
    """The trial of each row that is one of ``trial_ids``; the rows ascend."""
    wanted = list(trial_ids)
    if not wanted or "trial_id" not in records.column_names:
        return {}
    rows: dict[int, str] = {}
    start = 0
    for piece in records.pieces("trial_id"):
        indexes = index_in(piece, wanted)
        for row in np.flatnonzero(indexes >= 0).tolist():
            rows[start + row] = wanted[indexes[row]]
        start += len(piece)
    return rows


def _count_errors(records: RecordStore) -> int:
    values = records.encoders["status"].values
    if Status.ERROR.value not in values:
        return 0
    return int((records.codes("status") == values.index(Status.ERROR.value)).sum())
