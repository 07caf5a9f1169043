"""Scoring and pricing of stored records by the current scorers and prices.

``report``, ``show`` and ``export`` all score here, so that their figures are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from evalharness.config.stored_config import StoredConfig
from evalharness.judging import attach_grades
from evalharness.pricing import PriceBook
from evalharness.report.build.marks import attach_marks
from evalharness.scoring import (
    Extractor,
    Scorer,
    parse_answer_spec,
    parse_reasoning,
    parse_scoring,
)
from evalharness.scoring.reasoning import ReasoningMode
from evalharness.scoring.row_checks.parsing import RowChecks, read_row_checks, with_checks
from evalharness.scoring.run_scores import RunScorer, RunScores, score_records
from evalharness.store.folder.annotations import Annotations, read_annotations
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.columnar.record_store import RecordStore
    from evalharness.store.parts.streaming_read import Snapshot

MAX_REASONS = 5  # listed for a scorer: texts of exceptions can be of any number


class ReportOverrides(NamedTuple):
    """What a report command may override.

    Attributes:
        include_inactive: also show settings and prompts that are no longer in the plan.
        scoring, answer: replace the run's own; None keeps it, and ``answer`` False takes none.
        prices, pricing: entries of a price table, and a price file; they take precedence over the
            run's own prices and the shipped ones.
        volume: a number of requests to project the cost to.
        group_by: a field of the prompts that scores and costs are split by.
        settings: ids of the only settings to report; empty for all.
    """

    include_inactive: bool = False
    scoring: list[dict[str, Any]] | None = None
    answer: Any = None
    prices: list[Any] | None = None
    pricing: Path | None = None
    volume: float | None = None
    group_by: str | None = None
    settings: tuple[str, ...] = ()


def read_price_book(overrides: ReportOverrides, config: StoredConfig) -> PriceBook:
    """Return the current prices: the overrides first, then the run's own, then the shipped ones.

    Raises:
        ConfigError: a price table cannot be read.
    """
    return PriceBook.read(
        prices=overrides.prices or (),
        files=[] if overrides.pricing is None else [overrides.pricing],
        overrides=config.pricing,
        aliases=config.price_aliases(),
        usage_rules=config.usage_rules(),
        batch_discounts=config.batch_discounts(),
    )


def score_run(
    run: Run, records: RecordStore, prompts: pa.Table, overrides: ReportOverrides
) -> RunScores:
    """Score records of a run by its scoring, or by the one that replaces it.

    ``records`` holds :data:`~evalharness.scoring.run_scores.COLUMNS`.

    Raises:
        ConfigError: the scoring cannot be read.
    """
    annotations = read_annotations(run.root)
    configured = _configured_scoring(run, prompts, overrides, annotations)
    return score_records(
        records,
        prompts,
        configured.scorers,
        configured.extractor,
        answers_supplied=run.manifest.answers_supplied,
        reasoning=configured.reasoning,
        checks=configured.checks,
    )


def open_scorer(
    run: Run,
    prompts: pa.Table,
    overrides: ReportOverrides,
    records: RecordStore,
    stored: Snapshot,
    annotations: Annotations,
    *,
    use_fork: bool,
) -> RunScorer:
    """Return a scorer for the records of a run as they are read.

    Args:
        run: the run.
        prompts: those that are reported.
        overrides: may replace the run's scoring.
        records: to which they are added.
        stored: the records, to find out whether they were imported with answers.
        annotations: the marks of the run.
        use_fork: score in a fork of this process.

    Raises:
        ConfigError: the scoring cannot be read.
    """
    configured = _configured_scoring(run, prompts, overrides, annotations)
    extractor = configured.extractor
    supplied = run.manifest.answers_supplied
    if supplied is None:
        supplied = extractor is None and bool(stored.columns_with_values(["answer"]))
    return RunScorer(
        records,
        prompts,
        configured.scorers,
        extractor,
        supplied=extractor is None and supplied,
        use_fork=use_fork,
        reasoning=configured.reasoning,
        checks=configured.checks,
    )


class _ConfiguredScoring(NamedTuple):
    """How a run is scored; ``checks`` are those of its rows."""

    scorers: list[Scorer]
    checks: RowChecks
    extractor: Extractor | None
    reasoning: ReasoningMode


def _configured_scoring(
    run: Run, prompts: pa.Table, overrides: ReportOverrides, annotations: Annotations
) -> _ConfiguredScoring:
    config = next(run.configs())
    scoring = config.scoring if overrides.scoring is None else overrides.scoring
    checks = read_row_checks(prompts)
    checks.replace_scorers(lambda scorers: attach_grades(scorers, run))
    scorers = parse_scoring(with_checks(scoring) if len(checks) else scoring)
    answer = config.answer if overrides.answer is None else overrides.answer or None
    return _ConfiguredScoring(
        attach_marks(attach_grades(scorers, run), annotations),
        checks,
        parse_answer_spec(answer),
        parse_reasoning(answer),
    )


class UnscoredReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why records have no score.

    Attributes:
        reason: in words.
        n: records.
    """

    reason: str
    n: int


class ScorerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many records a scorer scored.

    Attributes:
        name: of the scorer.
        records: all records.
        scored: those with a score.
        unscored: the others by reason, most frequent first; reasons beyond the first five are
            summed as ``other reasons``.
    """

    name: str
    records: int
    scored: int
    unscored: list[UnscoredReason]


class ScorerWarning(msgspec.Struct, frozen=True, kw_only=True):
    """What in the arguments of a scorer is likely a mistake.

    Attributes:
        name: of the scorer.
        warning: in words.
    """

    name: str
    warning: str


class ReasoningCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning that models wrote into their texts (``<think>…</think>`` and the like).

    Attributes:
        mode: ``strip``: scores and answers are of the texts without it; ``keep``: with it.
        texts: records that have a text.
        with_reasoning: those whose text begins with reasoning, an empty block included.
        unclosed: those that end within it, and so say nothing.
    """

    mode: ReasoningMode
    texts: int
    with_reasoning: int
    unclosed: int


class ScoringCounts(NamedTuple):
    """What scorers and the extraction of answers made of the records.

    Attributes:
        scorers: the first is the score of the tables.
        answers: records by result of the extraction (``parsed``, ``unparsed``, ``failed``: it could
            not be tried, ``none``: an error); None where no answers are defined.
        reasoning: texts with reasoning in them.
        warnings: on arguments of scorers.
    """

    scorers: list[ScorerCounts]
    answers: dict[str, int] | None
    reasoning: ReasoningCounts
    warnings: list[ScorerWarning]


def scoring_counts(run_scores: RunScores) -> ScoringCounts:
    """Count scored and unscored records."""
    scorers = [_scorer_counts(run_scores, name) for name in run_scores.scores]
    reasoning = ReasoningCounts(**run_scores.reasoning._asdict())
    warnings = [
        ScorerWarning(name=name, warning=warning)
        for name in run_scores.scores
        if (warning := run_scores.warning(name)) is not None
    ]
    return ScoringCounts(scorers, _answer_counts(run_scores), reasoning, warnings)


def _scorer_counts(run_scores: RunScores, name: str) -> ScorerCounts:
    reasons = list(run_scores.why_null(name).items())
    shown = [UnscoredReason(reason=reason, n=count) for reason, count in reasons[:MAX_REASONS]]
    rest = sum(count for _, count in reasons[MAX_REASONS:])
    if rest:
        shown.append(UnscoredReason(reason="other reasons", n=rest))
    records = len(run_scores.scores[name])
    unscored = sum(count for _, count in reasons)
    return ScorerCounts(name=name, records=records, scored=records - unscored, unscored=shown)


def _answer_counts(run_scores: RunScores) -> dict[str, int] | None:
    if run_scores.answer_status is None:
        return None
    statuses = map(str, run_scores.answer_status.dictionary.to_pylist())
    codes = np.asarray(run_scores.answer_status.indices)
    counts: list[int] = np.bincount(
        codes, minlength=len(run_scores.answer_status.dictionary)
    ).tolist()
    return dict(zip(statuses, counts, strict=True))
