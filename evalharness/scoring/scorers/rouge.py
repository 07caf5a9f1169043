"""``rouge``: overlap of n-grams, or of the longest common subsequence, with the target."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from evalharness.scoring.base import (
    Sample,
    Score,
    Scorer,
    Share,
    accepted_targets,
    max_over_targets,
    threshold_score,
)
from evalharness.scoring.text_options import UnicodeForm
from evalharness.scoring.word_tokens import Unit, word_tokens

Variant = Literal["rouge1", "rouge2", "rougeL"]


class RougeScorer(Scorer, frozen=True, kw_only=True):
    """ROUGE F-measure between text and target, the best over alternatives, in 0..1.

    ``2PR / (P + R)`` over shared unigrams (``rouge1``), bigrams (``rouge2``) or the longest common
    subsequence of words (``rougeL``), without stemming (Lin 2004, ACL W04-1013). Equal to the
    ``rouge-score`` package on ASCII texts; words of other scripts, which that package drops,
    are counted.

    Attributes:
        variant: which of the three.
        unit: ``words``, or ``characters`` for scripts without spaces.
        unicode_form: as of :class:`~evalharness.scoring.text_options.TextOptions`.
        threshold: when given, the value becomes 1 at or above it and 0 below.

    """

    variant: Variant = "rougeL"
    unit: Unit = "words"
    unicode_form: UnicodeForm | None = "NFC"
    threshold: Share | None = None

    def evaluate(self, sample: Sample) -> Score:
        """Count what is shared."""
        text = self.text_to_score(sample)
        tokens = self._tokens(text)
        value = max_over_targets(
            accepted_targets(sample.target),
            lambda target: self._measure(tokens, self._tokens(target)),
        )
        return threshold_score(value, self.threshold, text, self.variant)

    def _tokens(self, text: str) -> list[str]:
        return word_tokens(text, unit=self.unit, unicode_form=self.unicode_form)

    def _measure(self, tokens: list[str], target_tokens: list[str]) -> float:
        if self.variant == "rougeL":
            from rapidfuzz.distance import LCSseq

            return _f_measure(
                LCSseq.similarity(tokens, target_tokens), len(tokens), len(target_tokens)
            )
        n = int(self.variant[-1])
        ngrams, target_ngrams = _ngrams(tokens, n), _ngrams(target_tokens, n)
        return _f_measure((ngrams & target_ngrams).total(), ngrams.total(), target_ngrams.total())


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _f_measure(shared: int, total: int, target_total: int) -> float:
    """Harmonic mean of shared/ours and shared/theirs; 0 when nothing is shared."""
    return 2.0 * shared / (total + target_total) if shared else 0.0
