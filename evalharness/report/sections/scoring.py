"""How many records each scorer scored, and what became of the extraction of answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evalharness.report.build.scoring import (
    ReasoningCounts,
    ScorerCounts,
    ScorerWarning,
    UnscoredReason,
)
from evalharness.report.section import ConsolePart, ReportData, Section
from evalharness.report.sections.settings.number_format import share_with_interval
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.table import Table

_MAX_HEADING = 24  # characters of a scorer's name above a column
_MAX_NAME = 60
_MAX_REASONS = 400  # characters


def unscored_text(reasons: Iterable[UnscoredReason]) -> str:
    """The reasons why records have no score, each with the number of records."""
    return "; ".join(f"{entry.reason} ({entry.n:,})" for entry in reasons)


def _console(report: ReportData, width: int) -> ConsolePart:
    return ConsolePart(_score_tables(report, width), _footnotes(report))


def _score_tables(report: ReportData, width: int) -> list[Table]:
    """One column a scorer, because the table of settings has room only for the first."""
    from evalharness.report.console.table_layout import TextColumn, fit_tables

    rows, names = report[SETTINGS], [scorer.name for scorer in report[SCORERS]]
    if len(names) < 2:
        return []
    columns: list[TextColumn] = []
    for name in names:
        scores = [row.score if name == names[0] else row.scores.get(name) for row in rows]
        cells = [
            share_with_interval(None, None) if s is None else share_with_interval(s.mean, s.ci95)
            for s in scores
        ]
        columns.append(TextColumn(f"{one_line(name, _MAX_HEADING)}\n[95% CI]", cells))
    labels = TextColumn("mean score by scorer", [row.label for row in rows])
    return fit_tables(labels, columns, width)


def _footnotes(report: ReportData) -> list[str]:
    """What the score is, and what has none."""
    lines: list[str] = []
    scorers = report[SCORERS]
    if any(row.score.mean is not None for row in report[SETTINGS]):
        name = one_line(scorers[0].name, _MAX_NAME)
        lines.append(f"score: {name}, mean over prompts of the mean over their scored repeats")
    lines += [
        f"{one_line(scorer.name, _MAX_NAME)}: {scorer.scored} of {scorer.records} records scored; "
        f"not scored: {one_line(unscored_text(scorer.unscored), _MAX_REASONS)}"
        for scorer in scorers
        if scorer.unscored
    ]
    return lines


SCORERS: Section[list[ScorerCounts]] = Section(
    "scorers",
    list[ScorerCounts],
    lambda context: context.run_data.scoring.scorers,
    title="how many records each scorer scored; the first gives the score of the tables",
    console=_console,
)
ANSWERS: Section[dict[str, int] | None] = Section(
    "answers",
    dict[str, int] | None,
    lambda context: context.run_data.scoring.answers,
    title="records by result of the extraction of answers: `parsed`, `unparsed`, `failed` (it "
    "could not be tried), `none` (an error); null where no answers are defined",
)
REASONING: Section[ReasoningCounts] = Section(
    "reasoning",
    ReasoningCounts,
    lambda context: context.run_data.scoring.reasoning,
    title="reasoning in the texts, and whether it was scored",
)
SCORER_WARNINGS: Section[list[ScorerWarning]] = Section(
    "scorer_warnings",
    list[ScorerWarning],
    lambda context: context.run_data.scoring.warnings,
    title="arguments of scorers that are likely a mistake; empty where none are",
)
