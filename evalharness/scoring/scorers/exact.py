"""``exact``: the text is the target."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score
from evalharness.scoring.text_options import TextScorer


class Exact(TextScorer, frozen=True, kw_only=True):
    """1 when the text equals the target or one of its alternatives, else 0.

    By default white space at both ends does not count and case does. Options as in
    :class:`~evalharness.scoring.text_options.TextOptions`.
    """

    def grade(self, sample: Sample) -> Score:
        """Compare the whole text."""
        said = self.plain(self.said(sample))
        for _, plain in self.wanted(sample.target):
            if said == plain:
                return Score(1.0, said, "equals the target")
        return Score(0.0, said, "differs from the target")
