"""``startswith``: the text begins with the target."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score, UnscorableError, verdict
from evalharness.scoring.text_options import TextScorer


class StartsWith(TextScorer, frozen=True, kw_only=True):
    """1 when the text begins with the target or one of its alternatives, else 0.

    White space before the text does not count, nor does case unless ``ignore_case: false``. An
    empty target begins every text, so it gives null.
    """

    ignore_case: bool = True

    def grade(self, sample: Sample) -> Score:
        """Compare the beginning."""
        said = self.plain(self.said(sample))
        for _, plain in self.wanted(sample.target):
            if not plain:
                raise UnscorableError("the target is empty, and so begins every text")
            if said.startswith(plain):
                return verdict(True, said[: len(plain)], "begins with the target")
        return verdict(False, None, "does not begin with the target")
