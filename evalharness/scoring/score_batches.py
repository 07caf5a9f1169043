"""Scoring outputs batch by batch: every answer is extracted, every scorer applied."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalharness.errors import ConfigError
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.answer_status import AnswerCollector, ExtractedAnswers
from evalharness.scoring.base import Sample, Scorer
from evalharness.scoring.isolation.limited_scorer import LimitedScorer
from evalharness.scoring.label_classes import Codes, LabelCollector, LabelSet
from evalharness.scoring.reasoning import ReasoningMode
from evalharness.scoring.reasoning_counts import FoundReasoning, ReasoningCollector
from evalharness.scoring.row_checks.column import ChecksColumn
from evalharness.scoring.row_checks.parsing import RowChecks
from evalharness.scoring.scorers.checks import ChecksScorer
from evalharness.scoring.unique_outputs import UniqueOutputs

if TYPE_CHECKING:
    import numpy.typing as npt


class ScorerResult(NamedTuple):
    """One scorer's value for each unique output, NaN for null, and the reasons of the nulls."""

    values: npt.NDArray[np.float64]
    reasons: dict[int, str]


class ScoreTable(NamedTuple):
    """Scores by label, and answers, of the unique outputs; ``answers`` None: none are defined.

    ``labels``: those outside the set of classes, and the code of each output
    (:mod:`.label_classes`); None where targets are no labels.
    """

    scores: dict[str, ScorerResult]
    answers: ExtractedAnswers | None
    reasoning: FoundReasoning
    labels: tuple[list[str], Codes] | None = None


class BatchScorer:
    """Extracts the answers of outputs and applies every scorer, one batch after the other.

    Args:
        scorers, extractor, supplied, reasoning, checks: see :class:`RunScorer`.

    Raises:
        ConfigError: see :func:`score_records`.

    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        extractor: Extractor | None,
        *,
        supplied: bool,
        reasoning: ReasoningMode = "strip",
        checks: RowChecks | None = None,
    ) -> None:
        has_answers = supplied or extractor is not None
        self._columns = _columns_by_label(scorers, checks or RowChecks(), answers_known=has_answers)
        self._answers = AnswerCollector(extractor) if has_answers else None
        self._reasoning = ReasoningCollector(reasoning)
        self._supplied = supplied
        self._labels: LabelCollector | None = None
        self._labels_of_answers = False

    @property
    def scorers(self) -> dict[str, Scorer]:
        """The scorers by their labels."""
        return {label: column.scorer for label, column in self._columns.items()}

    def collect_labels(self, labels: LabelSet) -> None:
        """Also keep which class each output names; before any is scored."""
        self._labels = LabelCollector(labels)
        self._labels_of_answers = labels.reader is None
        if labels.reader is not None:
            column = self._columns[labels.reader]
            assert isinstance(column, _ScorerColumn), "checks read no label"
            column.labels = self._labels

    def score_block(self, outputs: UniqueOutputs) -> None:
        """Score the outputs that came with the last block."""
        answers = self._answers
        if answers is not None and self._supplied:
            answers.supply(outputs.supplied_answers())
        for batch in outputs.batches(
            answer=None if answers is None else answers.answer, text=self._reasoning.scored_text
        ):
            for column in self._columns.values():
                column.score_batch(batch, outputs)

    def table(self) -> ScoreTable:
        """The scores and answers of all outputs so far."""
        answers = None if self._answers is None else self._answers.result()
        if self._labels is not None and self._labels_of_answers and answers is not None:
            self._labels.add_answers(answers)
        return ScoreTable(
            {label: ScorerResult(*column.result()) for label, column in self._columns.items()},
            answers,
            self._reasoning.result(),
            None if self._labels is None else self._labels.result(),
        )


class _ScorerColumn:
    """The scores of all outputs by one scorer."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.labels: LabelCollector | None = None
        self._limited = LimitedScorer(scorer)
        self._values = array("d")
        self._reasons: dict[int, str] = {}

    def score_batch(self, batch: list[Sample], outputs: UniqueOutputs) -> None:
        """Score the samples that come next."""
        append = self._values.append
        isolated = isolated_indexes(self.scorer, batch, outputs)
        results = self._limited.score(batch, isolated)
        for index, result in enumerate(results, len(self._values)):
            if result.value is None:
                self._reasons[index] = result.explanation
                append(math.nan)
            else:
                append(result.value)
            if self.labels is not None:
                self.labels.add(result)

    def result(self) -> ScorerResult:
        """The values of all samples so far."""
        return ScorerResult(np.array(self._values, dtype=np.float64), self._reasons)


def isolated_indexes(scorer: Scorer, batch: list[Sample], outputs: UniqueOutputs) -> list[int]:
    """Indexes of the samples that another process is to score, which can be killed."""
    chars = scorer.bounds().in_process_chars
    indexes = outputs.longer_than(batch, chars) if chars else range(len(batch))
    return [index for index in indexes if not scorer.is_settled(batch[index])]


def _columns_by_label(
    scorers: Sequence[Scorer], checks: RowChecks, *, answers_known: bool
) -> dict[str, _ScorerColumn | ChecksColumn]:
    columns: dict[str, _ScorerColumn | ChecksColumn] = {}
    for index, scorer in enumerate(scorers):
        label = scorer.label or type(scorer).__name__.removesuffix("Scorer").lower()
        if label in columns:
            raise ConfigError(f"configuration key `scoring[{index}].label`: {label!r} is taken")
        if scorer.of == "answer" and not answers_known:
            raise ConfigError(
                f"configuration key `scoring[{index}].of`: is `answer`, and no answer is defined",
                hint="add e.g. answer={last_number: true}",
            )
        if isinstance(scorer, ChecksScorer):
            checks.require_answers(known=answers_known)
            columns[label] = ChecksColumn(scorer, checks)
        else:
            columns[label] = _ScorerColumn(scorer)
    return columns
