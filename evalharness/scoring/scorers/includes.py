"""``includes``: the target occurs in the text."""

from __future__ import annotations

from evalharness.scoring.base import Sample, Score, UnscorableError, verdict
from evalharness.scoring.text_options import TextScorer


class Includes(TextScorer, frozen=True, kw_only=True):
    r"""1 when the target, or one of its alternatives, occurs anywhere in the text, else 0.

    Case does not count unless ``ignore_case: false``. ``every: true`` asks for all alternatives
    instead of any. A target is not tied to word borders: ``art`` occurs in ``party``; use ``regex``
    with ``\b`` where that matters. An empty target occurs in every text, so it gives null.
    """

    ignore_case: bool = True
    every: bool = False

    def grade(self, sample: Sample) -> Score:
        """Look for each alternative."""
        said = self.said(sample)
        wanted = self.wanted(sample.target)
        # In ASCII only letters have a case, so it need not be folded for a target without any.
        folded = not said.isascii() or len(wanted) > 1 or wanted[0][1].islower()
        said = self.plain(said) if folded else self.cased.apply(said)
        found = missing = None  # the first of each
        for target, plain in wanted:
            if not plain:
                raise UnscorableError("the target is empty, and so occurs in every text")
            if plain in said:
                found = target if found is None else found
            elif missing is None:
                missing = target
        if self.every and missing is not None:
            return verdict(False, found, f"misses {missing!r}")
        if self.every:
            return verdict(True, found, "has all")
        if found is None:
            return verdict(False, None, "misses the target")
        return verdict(True, found, "has the target")
