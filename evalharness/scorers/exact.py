"""``exact``: the text is the target."""

from __future__ import annotations

from evalharness.scorers.base import Sample, Score
from evalharness.scorers.text import TextScorer


class Exact(TextScorer, frozen=True, kw_only=True):
    """1 when the text equals the target or one of its alternatives, else 0.

    By default white space at both ends does not count and case does. Options as in
    :class:`~evalharness.scorers.text.TextOptions`.
    """

    def grade(self, sample: Sample) -> Score:
        """Compare the whole text."""
        said = self.plain(self.said(sample))
        for _, plain in self.wanted(sample.target):
            if said == plain:
                return Score(1.0, said, "equals the target")
        return Score(0.0, said, "differs from the target")
