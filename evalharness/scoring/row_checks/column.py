"""Scoring outputs by the checks of their rows (:mod:`.parsing`).

The score is the weighted mean of the row's checks. It is null where the row has none, and where one
of them could not be scored: a part of the checks is another measure. A refused record counts 0
where an answer was due, which is where the row or one of its checks has a target.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.records import Status
from evalharness.scoring.base import REASON_ERROR_RECORD, REASON_REFUSED, Sample, Score, Scorer
from evalharness.scoring.isolation.limited_scorer import LimitedScorer, score_in_full
from evalharness.scoring.row_checks.parsing import Check, RowChecks
from evalharness.scoring.scorers.checks import REASON_NO_CHECKS

if TYPE_CHECKING:
    import numpy.typing as npt


class ChecksColumn:
    """Scores outputs by the checks of their rows, one batch after the other."""

    def __init__(self, scorer: Scorer, checks: RowChecks) -> None:
        self.scorer = scorer
        self._checks = checks
        self._scorers = [LimitedScorer(scorer) for scorer in checks.scorers]
        self._values = array("d")
        self._reasons: dict[int, str] = {}

    def score_batch(self, batch: list[Sample], _: object = None) -> None:
        """Score the samples that come next."""
        for score in self._scores(batch):
            if score.value is None:
                self._reasons[len(self._values)] = score.explanation
            self._values.append(math.nan if score.value is None else score.value)

    def _scores(self, batch: list[Sample]) -> list[Score]:
        samples: dict[int, list[Sample]] = {}  # by scorer, so that each gets many at a time
        for sample in batch:
            for check in self._checks.of(sample.prompt_id):
                samples.setdefault(check.scorer, []).append(_with_target(sample, check))
        scores = {
            number: self._scorers[number].score(group, self._isolated(number, group))
            for number, group in samples.items()
        }
        return [
            combine(sample, checks, [next(scores[check.scorer]) for check in checks])
            for sample in batch
            for checks in (self._checks.of(sample.prompt_id),)
        ]

    def _isolated(self, number: int, samples: list[Sample]) -> list[int]:
        scorer = self._scorers[number].scorer
        return [n for n, sample in enumerate(samples) if _is_isolated(scorer, sample)]

    def result(self) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
        """The values of all samples so far, NaN for null, and the reasons of the nulls."""
        return np.array(self._values, dtype=np.float64), self._reasons


def explain_checks(sample: Sample, checks: RowChecks) -> Score:
    """The score of one output with what each check said."""
    own = checks.of(sample.prompt_id)
    scores: list[Score] = []
    for check in own:
        scorer, targeted = checks.scorers[check.scorer], _with_target(sample, check)
        isolated = _is_isolated(scorer, targeted)
        scores.append(score_in_full(scorer, targeted, isolated=isolated))
    return combine(sample, own, scores)


def combine(sample: Sample, checks: Sequence[Check], scores: Sequence[Score]) -> Score:
    """The score of an output by the scores of its row's checks."""
    if sample.status is Status.ERROR:
        return Score(None, None, REASON_ERROR_RECORD)
    if not checks:
        return Score(None, None, REASON_NO_CHECKS)
    if sample.status is Status.REFUSED:
        if sample.target is None and all(check.target is None for check in checks):
            return Score(None, None, REASON_REFUSED)
        return Score(0.0, None, "refused where an answer was due")
    total, parts = 0.0, list[str]()
    for check, score in zip(checks, scores, strict=True):
        if score.value is None:
            return Score(None, None, f"{check.label}: {score.explanation}")
        total += check.weight * score.value
        weight = "" if check.weight == 1 else f" (weight {check.weight:g})"
        parts.append(f"{check.label} {score.value:.4g}{weight}: {score.explanation}")
    # Rounding can exceed 1.
    value = min(1.0, total / math.fsum(check.weight for check in checks))
    return Score(value, scores[0].answer if len(scores) == 1 else None, "; ".join(parts))


def _with_target(sample: Sample, check: Check) -> Sample:
    if check.target is None:
        return sample
    return msgspec.structs.replace(sample, target=check.target)


def _is_isolated(scorer: Scorer, sample: Sample) -> bool:
    """Whether another process is to score the sample, which can be killed."""
    if scorer.is_settled(sample):
        return False
    limit = scorer.bounds().in_process_chars
    return (
        limit == 0
        or len(sample.text or "") > limit
        or len(sample.tool_calls_json or "") > limit
        or _target_chars(sample.target) > limit
    )


def _target_chars(target: Any) -> int:
    if target is None or isinstance(target, bool | int | float):
        return 0
    return len(target) if isinstance(target, str) else len(msgspec.json.encode(target))
