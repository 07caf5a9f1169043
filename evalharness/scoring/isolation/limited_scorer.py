"""One scorer at work on many outputs, within its limits of time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalharness.scoring.base import Sample, Score, Scorer
from evalharness.scoring.safe_regex import MAX_TIMEOUTS, REASON_GAVE_UP, TIMED_OUT

if TYPE_CHECKING:
    from evalharness.scoring.isolation.client import IsolatedScorer

_GAVE_UP = Score(None, None, REASON_GAVE_UP)


class LimitedScorer:
    """Applies a scorer, and gives up on a pattern that keeps taking too long.

    What may take long otherwise (:class:`~.bounds.Bounds`) is scored in a process that can be
    killed.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._isolated: IsolatedScorer | None = None
        self._timeouts = 0

    def score(self, samples: Sequence[Sample], isolated: Sequence[int]) -> Iterator[Score]:
        """The scores of samples in their order; those at ``isolated`` by another process."""
        score = self.scorer.score
        elsewhere = self._score_elsewhere(samples, isolated)
        for index, sample in enumerate(samples):
            if elsewhere and index in elsewhere:
                result = elsewhere[index]
            else:
                result = _GAVE_UP if self._timeouts >= MAX_TIMEOUTS else score(sample)
            if result.value is None:
                self._timeouts += result.explanation == TIMED_OUT
            yield result

    def _score_elsewhere(
        self, samples: Sequence[Sample], indexes: Sequence[int]
    ) -> dict[int, Score]:
        if not indexes:
            return {}
        if self._isolated is None:
            self._isolated = _isolated_scorer(self.scorer)
        scores = self._isolated.score([samples[index] for index in indexes])
        return dict(zip(indexes, scores, strict=True))


def score_in_full(scorer: Scorer, sample: Sample, *, isolated: bool) -> Score:
    """The score of one sample with its answer and explanation, wherever it is scored."""
    if not isolated:
        return scorer.score(sample)
    return _isolated_scorer(scorer).score([sample], brief=False)[0]


def _isolated_scorer(scorer: Scorer) -> IsolatedScorer:
    from evalharness.scoring.isolation.client import IsolatedScorer

    return IsolatedScorer(scorer)
