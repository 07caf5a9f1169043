"""``startswith``: the text begins with the target."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score, UnscorableError, binary_score
from evalharness.scoring.text_options import TextScorer


class StartsWithScorer(TextScorer, frozen=True, kw_only=True):
    """1 when the text begins with the target or one of its alternatives, else 0.

    White space before the text does not count, nor does case unless ``ignore_case: false``. An
    empty target begins every text, so it gives null.
    """

    ignore_case: bool = True

    def evaluate(self, sample: Sample) -> Score:
        """Compare the beginning."""
        text = self.comparable(self.text_to_score(sample))
        for _, prefix in self.comparable_targets(sample.target):
            if not prefix:
                raise UnscorableError("the target is empty, and so begins every text")
            if text.startswith(prefix):
                return binary_score(True, text[: len(prefix)], "begins with the target")
        return binary_score(False, None, "does not begin with the target")
