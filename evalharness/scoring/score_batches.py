"""Scoring outputs batch by batch: every answer is extracted, every scorer applied."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalharness.errors import ConfigError
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.answer_status import (
    MAX_TIMEOUTS,
    REASON_GAVE_UP,
    AnswerCollector,
    ExtractedAnswers,
)
from evalharness.scoring.base import Sample, Score, Scorer
from evalharness.scoring.safe_regex import TIMED_OUT
from evalharness.scoring.unique_outputs import UniqueOutputs

if TYPE_CHECKING:
    import numpy.typing as npt

_GAVE_UP = Score(None, None, REASON_GAVE_UP)


class ScorerResult(NamedTuple):
    """One scorer's value for each unique output, NaN for null, and the reasons of the nulls."""

    values: npt.NDArray[np.float64]
    reasons: dict[int, str]


class ScoreTable(NamedTuple):
    """Scores by label, and answers, of the unique outputs; ``answers`` None: none are defined."""

    scores: dict[str, ScorerResult]
    answers: ExtractedAnswers | None


class BatchScorer:
    """Extracts the answers of outputs and applies every scorer, one batch after the other.

    Args:
        scorers, extractor, supplied: see :class:`RunScorer`.

    Raises:
        ConfigError: see :func:`score_records`.

    """

    def __init__(
        self, scorers: Sequence[Scorer], extractor: Extractor | None, *, supplied: bool
    ) -> None:
        has_answers = supplied or extractor is not None
        self._columns = _columns_by_label(scorers, answers_known=has_answers)
        self._answers = AnswerCollector(extractor) if has_answers else None
        self._supplied = supplied

    @property
    def scorers(self) -> dict[str, Scorer]:
        """The scorers by their labels."""
        return {label: column.scorer for label, column in self._columns.items()}

    def score_block(self, outputs: UniqueOutputs) -> None:
        """Score the outputs that came with the last block."""
        answers = self._answers
        if answers is not None and self._supplied:
            answers.supply(outputs.supplied_answers())
        for batch in outputs.batches(answer=None if answers is None else answers.answer):
            for column in self._columns.values():
                column.score_batch(batch)

    def table(self) -> ScoreTable:
        """The scores and answers of all outputs so far."""
        answers = None if self._answers is None else self._answers.result()
        return ScoreTable(
            {label: column.result() for label, column in self._columns.items()}, answers
        )


class _ScorerColumn:
    """Applies one scorer, and gives up on a pattern that keeps taking too long."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._values = array("d")
        self._reasons: dict[int, str] = {}
        self._timeouts = 0

    def score_batch(self, batch: list[Sample]) -> None:
        """Score the samples that come next."""
        score = self.scorer.score
        append = self._values.append
        for index, sample in enumerate(batch, len(self._values)):
            result = _GAVE_UP if self._timeouts >= MAX_TIMEOUTS else score(sample)
            if result.value is None:
                self._reasons[index] = result.explanation
                self._timeouts += result.explanation == TIMED_OUT
                append(math.nan)
            else:
                append(result.value)

    def result(self) -> ScorerResult:
        """The values of all samples so far."""
        return ScorerResult(np.array(self._values, dtype=np.float64), self._reasons)


def _columns_by_label(
    scorers: Sequence[Scorer], *, answers_known: bool
) -> dict[str, _ScorerColumn]:
    columns: dict[str, _ScorerColumn] = {}
    for index, scorer in enumerate(scorers):
        label = scorer.label or type(scorer).__name__.removesuffix("Scorer").lower()
        if label in columns:
            raise ConfigError(f"configuration key `scoring[{index}].label`: {label!r} is taken")
        if scorer.of == "answer" and not answers_known:
            raise ConfigError(
                f"configuration key `scoring[{index}].of`: is `answer`, and no answer is defined",
                hint="add e.g. answer={last_number: true}",
            )
        columns[label] = _ScorerColumn(scorer)
    return columns
