"""``bleu``: sentence BLEU against the target."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

from evalharness.scoring.base import Sample, Score, Scorer, Share, accepted_targets, threshold_score

Tokenizer = Literal["13a", "intl", "zh", "char", "none"]


class BleuScorer(Scorer, frozen=True, kw_only=True):
    """Sentence BLEU of the text with the target's alternatives as references, in 0..1.

    sacrebleu's figure divided by 100: up to 4-grams, exponential smoothing, effective order (so
    that short sentences do not score 0), brevity penalty (Post 2018, arXiv 1804.08771). BLEU
    was made for whole corpora; of single sentences it is noisy. Needs
    ``pip install 'evalharness[text]'``.

    Attributes:
        tokenizer: sacrebleu's: ``13a`` for languages with spaces, ``intl``, ``zh`` for Chinese,
            ``char``, ``none``.
        lowercase: compare without case.
        threshold: when given, the value becomes 1 at or above it and 0 below.

    """

    tokenizer: Tokenizer = "13a"
    lowercase: bool = False
    threshold: Share | None = None

    def __post_init__(self) -> None:
        if find_spec("sacrebleu") is None:
            raise ValueError("`name`: bleu needs sacrebleu: pip install 'evalharness[text]'")

    def evaluate(self, sample: Sample) -> Score:
        """Compute sentence BLEU with sacrebleu."""
        text = self.text_to_score(sample)
        metric = _metric(self.tokenizer, self.lowercase)
        figure = float(metric.sentence_score(text, accepted_targets(sample.target)).score)
        return threshold_score(figure / 100.0, self.threshold, text, "BLEU")


@lru_cache(maxsize=16)
def _metric(tokenizer: Tokenizer, lowercase: bool) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=True)
