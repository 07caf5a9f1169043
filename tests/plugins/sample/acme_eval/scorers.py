"""Two scorers: a class with checked arguments, and a function."""

from typing import Annotated

from msgspec import Meta

from evalharness.scoring import Sample, Score, Scorer


class WordsScorer(Scorer, frozen=True, kw_only=True):
    """1 for an output of at most ``most`` words, else 0."""

    most: Annotated[int, Meta(ge=1)] = 50
    needs_target = False

    def evaluate(self, sample: Sample) -> Score:
        """Score one output; None as the value is "not scored", never 0."""
        count = len(self.text_to_score(sample).split())
        return Score(float(count <= self.most), sample.text, f"{count} words")


def polite(sample: Sample, word: str = "please") -> bool | None:
    """Whether an output has a word; None is "not scored"."""
    return None if not sample.text else word in sample.text.lower()
