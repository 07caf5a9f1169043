"""``exact``: the text is the target."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score
from evalharness.scoring.text_options import TextScorer


class ExactScorer(TextScorer, frozen=True, kw_only=True):
    """1 when the text equals the target or one of its alternatives, else 0.

    By default white space at both ends does not count and case does. Options as in
    :class:`~evalharness.scoring.text_options.TextOptions`.
    """

    def evaluate(self, sample: Sample) -> Score:
        """Compare the whole text."""
        text = self.comparable(self.text_to_score(sample))
        for _, comparable_target in self.comparable_targets(sample.target):
            if text == comparable_target:
                return Score(1.0, text, "equals the target")
        return Score(0.0, text, "differs from the target")
