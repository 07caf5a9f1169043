"""``f1``: overlap of words with the target."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from evalharness.scoring.base import Sample, Score, Scorer, Share, alternatives, best, graded
from evalharness.scoring.word_tokens import Unit, squad_tokens


class F1(Scorer, frozen=True, kw_only=True):
    """Token F1 between text and target, the best over alternatives, in 0..1.

    ``2PR / (P + R)``, with P the share of the text's tokens that are in the target and R the share
    of the target's tokens that are in the text, repeated tokens counted (Rajpurkar et al. 2016,
    arXiv 1606.05250). Both empty gives 1, one empty 0.

    Attributes:
        unit: ``words``, or ``characters`` for scripts without spaces.
        articles: keep English a, an, the; SQuAD drops them.
        threshold: when given, the value becomes 1 at or above it and 0 below.

    """

    unit: Unit = "words"
    articles: bool = False
    threshold: Share | None = None

    def grade(self, sample: Sample) -> Score:
        """Count shared tokens."""
        said = self.said(sample)
        tokens = Counter(squad_tokens(said, articles=self.articles, unit=self.unit))
        value = best(
            alternatives(sample.target),
            lambda target: _f1(tokens, _counted(target, self.articles, self.unit)),
        )
        return graded(value, self.threshold, said, "token F1")


@lru_cache(maxsize=4096)
def _counted(target: str, articles: bool, unit: Unit) -> Counter[str]:
    return Counter(squad_tokens(target, articles=articles, unit=unit))


def _f1(said: Counter[str], wanted: Counter[str]) -> float:
    total = said.total() + wanted.total()
    if total == 0:
        return 1.0
    return 2.0 * (said & wanted).total() / total
