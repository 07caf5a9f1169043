"""``human``: a score read from the marks that people gave (``evalharness mark``, ``view``)."""

from __future__ import annotations

import sys

from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError
from evalharness.scoring.bounds import Bounds


class HumanScorer(Scorer, frozen=True, kw_only=True):
    """1 where most readers marked the record as passed, 0 where most marked it as failed.

    A record without marks, or with as many of one as of the other, has no score. Marks are of
    single records, also of equal outputs, so that a report fills them in; alone, nothing is marked.
    A refused record has the score of its marks.

    Attributes:
        reader: count the marks of this reader alone; None: of all.
    """

    reader: str | None = None

    needs_target = False

    def __post_init__(self) -> None:
        if self.of != "text":
            raise ValueError("`of`: a reader marks the whole record")
        if self.target is not None:
            raise ValueError("`target`: a reader is shown the prompts' own targets")

    def default_label(self, name: str) -> str:
        """``human``, or ``human.READER`` where one reader is named."""
        return name if self.reader is None else f"{name}.{self.reader}"

    def bounds(self) -> Bounds:
        """A mark is looked up, however long the text."""
        return Bounds(in_process_chars=sys.maxsize)

    @property
    def reason_unmarked(self) -> str:
        """Why a record without a mark has no score."""
        return "not marked" if self.reader is None else f"not marked by {self.reader}"

    def evaluate(self, sample: Sample) -> Score:
        """Refuse: the sample does not say which record it is of."""
        raise UnscorableError(self.reason_unmarked)
