"""``includes``: the target occurs in the text."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score, UnscorableError, binary_score
from evalharness.scoring.text_options import TextScorer


class IncludesScorer(TextScorer, frozen=True, kw_only=True):
    r"""1 when the target, or one of its alternatives, occurs anywhere in the text, else 0.

    Case does not count unless ``ignore_case: false``. ``every: true`` asks for all alternatives
    instead of any. A target is not tied to word borders: ``art`` occurs in ``party``; use ``regex``
    with ``\b`` where that matters. An empty target occurs in every text, so it gives null.
    """

    ignore_case: bool = True
    every: bool = False

    def evaluate(self, sample: Sample) -> Score:
        """Look for each alternative."""
        text = self.text_to_score(sample)
        targets = self.comparable_targets(sample.target)
        # In ASCII only letters have a case, so it need not be folded for a target without any.
        folded = not text.isascii() or len(targets) > 1 or targets[0][1].islower()
        text = self.comparable(text) if folded else self.case_sensitive_options.apply(text)
        present = missing = None  # the first of each
        for target, plain in targets:
            if not plain:
                raise UnscorableError("the target is empty, and so occurs in every text")
            if plain in text:
                present = target if present is None else present
            elif missing is None:
                missing = target
        if self.every and missing is not None:
            return binary_score(False, present, f"misses {missing!r}")
        if self.every:
            return binary_score(True, present, "has all")
        if present is None:
            return binary_score(False, None, "misses the target")
        return binary_score(True, present, "has the target")
