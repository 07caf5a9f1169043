"""``f1``: overlap of words with the target."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

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
from evalharness.scoring.word_tokens import Unit, squad_tokens


class F1Scorer(Scorer, frozen=True, kw_only=True):
    """Token F1 between text and target, the best over alternatives, in 0..1.

    ``2PR / (P + R)``, with P the share of the text's tokens that are in the target and R the share
    of the target's tokens that are in the text, repeated tokens counted (Rajpurkar et al. 2016,
    arXiv 1606.05250). Both empty gives 1, one empty 0.

    Attributes:
        unit: ``words``, or ``characters`` for scripts without spaces.
        articles: keep English a, an, the; SQuAD drops them.
        unicode_form: as of :class:`~evalharness.scoring.text_options.TextOptions`.
        threshold: when given, the value becomes 1 at or above it and 0 below.

    """

    unit: Unit = "words"
    articles: bool = False
    unicode_form: UnicodeForm | None = "NFC"
    threshold: Share | None = None

    def evaluate(self, sample: Sample) -> Score:
        """Count shared tokens."""
        text = self.text_to_score(sample)
        tokens = self._count(text)
        value = max_over_targets(
            accepted_targets(sample.target),
            lambda target: _f1(tokens, self._target_counts(target)),
        )
        return threshold_score(value, self.threshold, text, "token F1")

    def _count(self, text: str) -> Counter[str]:
        tokens = squad_tokens(
            text, articles=self.articles, unit=self.unit, unicode_form=self.unicode_form
        )
        return Counter(tokens)

    def _target_counts(self, target: str) -> Counter[str]:
        return _token_counts(target, self.articles, self.unit, self.unicode_form)


@lru_cache(maxsize=4096)
def _token_counts(
    text: str, articles: bool, unit: Unit, unicode_form: UnicodeForm | None
) -> Counter[str]:
    return Counter(squad_tokens(text, articles=articles, unit=unit, unicode_form=unicode_form))


def _f1(tokens: Counter[str], target_tokens: Counter[str]) -> float:
    total = tokens.total() + target_tokens.total()
    if total == 0:
        return 1.0
    return 2.0 * (tokens & target_tokens).total() / total
