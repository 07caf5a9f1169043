"""``similarity``: how near the text is to the target, letter by letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from evalharness.scoring.base import (
    Sample,
    Score,
    Share,
    accepted_targets,
    max_over_targets,
    threshold_score,
)
from evalharness.scoring.bounds import Bounds
from evalharness.scoring.text_options import TextScorer

Method = Literal["levenshtein", "indel", "jaro_winkler", "partial", "token_sort", "token_set"]


class SimilarityScorer(TextScorer, frozen=True, kw_only=True):
    """Edit similarity between text and target, the best over alternatives, in 0..1 (rapidfuzz).

    Attributes:
        method: ``levenshtein``: 1 - edits / longer length; ``indel``: the same with insertions
            and deletions alone, over the sum of lengths; ``jaro_winkler``; ``partial``: the best
            matching stretch; ``token_sort``, ``token_set``: words in any order, or as sets.
        threshold: when given, the value becomes 1 at or above it and 0 below.

    Two empty texts give 1 with the first two methods.

    """

    method: Method = "levenshtein"
    threshold: Share | None = None

    def bounds(self) -> Bounds:
        """The best matching stretch takes time by the cube of the length."""
        return Bounds(in_process_chars=1000) if self.method == "partial" else Bounds()

    def evaluate(self, sample: Sample) -> Score:
        """Measure the distance."""
        measure = _measure(self.method)
        text = self.comparable(self.text_to_score(sample))
        value = max_over_targets(
            accepted_targets(sample.target), lambda target: measure(text, self.comparable(target))
        )
        return threshold_score(value, self.threshold, text, f"{self.method} similarity")


def _measure(method: Method) -> Callable[[str, str], float]:
    from rapidfuzz import distance, fuzz

    if method == "levenshtein":
        return distance.Levenshtein.normalized_similarity
    if method == "indel":
        return distance.Indel.normalized_similarity
    if method == "jaro_winkler":
        return distance.JaroWinkler.normalized_similarity
    ratio = {
        "partial": fuzz.partial_ratio,
        "token_sort": fuzz.token_sort_ratio,
        "token_set": fuzz.token_set_ratio,
    }[method]
    return lambda a, b: ratio(a, b) / 100.0
