"""The marks of a run as scores of its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from evalharness.scoring import Scorer
from evalharness.scoring.marks.stored_marks import ReaderMark, StoredMarksScorer
from evalharness.scoring.scorers.human import HumanScorer
from evalharness.store.folder.annotations import Annotation, Annotations, Mark


def attach_marks(scorers: Sequence[Scorer], annotations: Annotations) -> list[Scorer]:
    """Give every ``human`` scorer the marks of the run."""
    if not any(isinstance(scorer, HumanScorer) for scorer in scorers):
        return list(scorers)
    marks = marks_by_trial(annotations.rows)
    return [
        StoredMarksScorer(
            label=scorer.label,
            negated=scorer.negated,
            reader=scorer.reader,
            marks=marks,
            damage=annotations.damage,
        )
        if isinstance(scorer, HumanScorer)
        else scorer
        for scorer in scorers
    ]


def marks_by_trial(rows: Sequence[Annotation]) -> dict[str, list[ReaderMark]]:
    """The marks of each record that has any, by trial id; the readers of each in their order."""
    marks: dict[str, list[ReaderMark]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.reader):
        if row.mark is not None:
            marks[row.trial_id].append(ReaderMark(row.reader, row.mark is Mark.PASS, row.note))
    return dict(marks)
