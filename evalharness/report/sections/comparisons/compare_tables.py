"""The output of ``compare`` on a terminal: the conclusion, then tables of the comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.across.agreement_across import AgreementAcross
from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.comparison_text import (
    ONE_SIDE_ONLY,
    bounds_text,
    remarks,
)
from evalharness.analysis.comparison.trend import Trend
from evalharness.analysis.equality.model_equality import ModelEquality
from evalharness.analysis.logprobs.logprob_distance import LogprobDistance
from evalharness.analysis.tool_calls.tool_call_check import ToolCallCheck
from evalharness.process.text import plural
from evalharness.report.sections.comparisons.across_tables import NOTE, console_tables
from evalharness.report.sections.comparisons.across_words import none_detected
from evalharness.report.sections.comparisons.differences import slope_sentences, split_differences
from evalharness.report.sections.comparisons.words import (
    detectable_text,
    interval_text,
    metric_noun,
    metric_rank,
    prompts_text,
    row_label,
    side_noun,
    slope_texts,
    stratum_suffix,
    tally_text,
)
from evalharness.report.sections.equality.words import NOTE as EQUALITY_NOTE
from evalharness.report.sections.equality.words import (
    console_tables_of_equality,
    equality_lines,
)
from evalharness.report.sections.logprobs.words import NOTE as LOGPROB_NOTE
from evalharness.report.sections.logprobs.words import (
    console_tables_of_distances,
    distance_lines,
)
from evalharness.report.sections.tool_calls.words import NOTE as CHECK_NOTE
from evalharness.report.sections.tool_calls.words import QUESTION as CHECK_QUESTION
from evalharness.report.sections.tool_calls.words import check_lines, console_tables_of_checks
from evalharness.report.words.format_numbers import (
    DASH,
    metric_difference,
    metric_value,
    p_number,
    p_value,
    parameter_text,
)

_ALIKE, _FEW, _STEADY, _VERDICTS = "[alike]", "[too few]", "[steady]", "[verdicts]"

if TYPE_CHECKING:
    from rich.console import Console

    from evalharness.report.console.table_layout import TextColumn


class ComparisonView(NamedTuple):
    """Comparisons and trends along one axis.

    ``command`` is the command line that computed them. With ``strata``, the comparisons within
    each value of the other axes are shown too. ``cost_mark`` says where costs come from if not from
    prices alone. ``across`` is the agreement across the sides, with ``across_lines`` in words;
    ``equality`` are the model equality tests, if asked for, and ``logprobs`` the distances of log
    probabilities, ``tool_calls`` the checks of tool calls.
    """

    rows: Sequence[Comparison]
    trends: Sequence[Trend]
    command: str
    strata: bool = False
    cost_mark: str = ""
    across: Sequence[AgreementAcross] = ()
    across_lines: Sequence[str] = ()
    equality: Sequence[ModelEquality] = ()
    logprobs: Sequence[LogprobDistance] = ()
    tool_calls: Sequence[ToolCallCheck] = ()


def print_comparisons(comparisons: ComparisonView, console: Console | None = None) -> None:
    """Print the detected differences as sentences, and all comparisons as tables.

    Where an axis was pooled over the others, only the pooled rows are shown unless ``strata`` is
    set. A metric in which no prompt differs is named below the tables instead.
    """
    from evalharness.report.console.printing import console_for_report, print_line

    console = console or console_for_report()
    known = sorted((row for row in comparisons.rows if row.n), key=metric_rank)
    for line in _conclusion(known, comparisons):
        print_line(console, line)
    constant = {row.metric for row in known} - {row.metric for row in known if not row.all_tied}
    listed = [row for row in known if row.metric not in constant]
    pooled = any(row.pooled for row in listed)
    shown = [row for row in listed if row.pooled or not pooled or comparisons.strata]
    shown.sort(key=lambda row: not row.pooled)
    if shown:
        _print_table(_comparisons(shown), console)
    if comparisons.strata or not any(row.stratum for row in comparisons.trends):
        trends = [row for row in comparisons.trends if row.metric not in constant and row.n]
        if trends:
            _print_table(_trends(sorted(trends, key=metric_rank)), console)
    if comparisons.across_lines:
        _print_across(comparisons, console)
    _print_equality(comparisons, console)
    console.print()
    for line in (*_footnotes(known, shown, constant), *_notes(comparisons)):
        print_line(console, line, style="dim")
    if comparisons.cost_mark and any(row.metric == "cost_usd" for row in known):
        why = "what the provider billed where no price is known"
        print_line(console, f"cost: {comparisons.cost_mark} ({why})", style="dim")
    hidden = len(listed) - len(shown)
    if hidden:
        within = plural(hidden, "comparison") + " within single settings of the other axes"
        print_line(console, f"{within}: {comparisons.command} --strata")


def _notes(view: ComparisonView) -> list[str]:
    """What the words of the parts mean that are shown."""
    parts = (
        (view.across_lines, NOTE),
        (view.equality, EQUALITY_NOTE),
        (view.logprobs, LOGPROB_NOTE),
        (view.tool_calls, CHECK_NOTE),
    )
    return [note for rows, note in parts if rows]


def _conclusion(rows: Sequence[Comparison], view: ComparisonView) -> list[str]:
    detected, _ = split_differences(rows)
    sentences = [*(difference.text for difference in detected), *slope_sentences(view.trends)]
    if not sentences:
        sentences = [none_detected(view.across)]
    lines = ["Which differences were detected?", *(f"  {sentence}" for sentence in sentences)]
    if view.across_lines:
        lines += ["Do both give the same output?", *(f"  {line}" for line in view.across_lines)]
    if view.equality:
        lines += ["Is it the same model?", *(f"  {line}" for line in equality_lines(view.equality))]
    if view.logprobs:
        heading = "How far apart are the log probabilities?"
        lines += [heading, *(f"  {line}" for line in distance_lines(view.logprobs))]
    if view.tool_calls:
        lines += [CHECK_QUESTION, *(f"  {line}" for line in check_lines(view.tool_calls))]
    return lines


def _print_across(comparisons: ComparisonView, console: Console) -> None:
    tables, more = console_tables(comparisons.across, console.width)
    for table in tables:
        console.print()
        console.print(table)
    if more:
        console.print(f"  and {more} more: {comparisons.command} --json", soft_wrap=True)


def _print_equality(view: ComparisonView, console: Console) -> None:
    for table in (
        *console_tables_of_equality(view.equality, console.width),
        *console_tables_of_distances(view.logprobs, console.width),
        *console_tables_of_checks(view.tool_calls, console.width),
    ):
        console.print()
        console.print(table)


class _Table(NamedTuple):
    names: TextColumn
    columns: list[TextColumn]


def _print_table(table: _Table, console: Console) -> None:
    from evalharness.report.console.table_layout import fit_tables

    for part in fit_tables(table.names, table.columns, console.width):
        console.print()
        console.print(part)


def _comparisons(rows: Sequence[Comparison]) -> _Table:
    from evalharness.report.console.table_layout import TextColumn

    by, base = rows[0].by, parameter_text(rows[0].b_value)
    columns = [
        TextColumn(f"at\n{base}", [metric_value(row.metric, row.b_mean) for row in rows]),
        TextColumn("here", [metric_value(row.metric, row.a_mean) for row in rows]),
        TextColumn("difference\n[95% CI]", [_difference(row) for row in rows]),
        TextColumn("p", [p_number(row.p_adjusted) for row in rows]),
        TextColumn("missed\nbelow", [detectable_text(row, none="any") for row in rows]),
        TextColumn("up/down\n/same", [tally_text(row, "/") for row in rows]),
    ]
    if any(row.equivalence for row in rows):
        columns.append(TextColumn("equal\nwithin", [_equivalence(row) for row in rows]))
    return _Table(TextColumn(f"{by}\nagainst {base}", [row_label(row) for row in rows]), columns)


def _trends(rows: Sequence[Trend]) -> _Table:
    from evalharness.report.console.table_layout import TextColumn

    columns = [
        TextColumn("slope\n[95% CI]", [_slope(row) for row in rows]),
        TextColumn("p", [p_number(row.p_adjusted) for row in rows]),
        TextColumn("prompts", [str(row.n) for row in rows]),
    ]
    labels = [metric_noun(row.metric) + stratum_suffix(row.stratum) for row in rows]
    return _Table(TextColumn(f"per unit of\n{rows[0].by}", labels), columns)


def _difference(row: Comparison) -> str:
    size = metric_difference(row.metric, row.difference, row.largest_figure)
    return f"{size} {_no_interval(row) if row.ci95 is None else interval_text(row)}"


def _no_interval(row: Comparison) -> str:
    """Why a difference has no interval."""
    if row.unit != "prompt":
        return _VERDICTS if row.unit == "search" else _STEADY
    return _FEW if row.is_underpowered else _ALIKE


def _slope(row: Trend) -> str:
    size, ends = slope_texts(row)
    return f"{size} {'[—]' if row.ci95 is None else ends}"


def _equivalence(row: Comparison) -> str:
    test = row.equivalence
    if test is None or test.p is None:
        return DASH
    return f"±{100 * test.margin:g} pp: {p_value(test.p)}"


def _footnotes(
    known: Sequence[Comparison], shown: Sequence[Comparison], constant: set[str]
) -> list[str]:
    """What the tables leave out, and how to read them."""
    lines = [_equal_line([row for row in known if row.metric == name]) for name in sorted(constant)]
    lines += [f"{row_label(row)}: {remark}" for row in shown for remark in _row_remarks(row)]
    family = max((row.family for row in known), default=0)
    if family > 1:
        lines.append(
            f"p: adjusted for up to {family} comparisons of one metric; intervals are not adjusted"
        )
    missing = {_no_interval(row) for row in shown if row.ci95 is None}
    if _ALIKE in missing:
        lines.append(f"{_ALIKE}: every prompt differs by the same amount, so there is no interval")
    if _FEW in missing:
        lines.append(f"{_FEW}: under six prompts (or clusters) bound no difference")
    if _STEADY in missing:
        lines.append(f"{_STEADY}: every stretch of time has the same rate, so there is no interval")
    searched = [row for row in shown if row.unit == "search"]
    lines += [f"{_VERDICTS} {row_label(row)}: {bounds_text(row)}" for row in searched]
    timed = [row for row in shown if row.unit == "time"]
    if timed:
        lines.append(
            f"throughput and output tokens: of whole load points, over {timed[0].n} stretches of "
            "time a side; no prompt pairs them"
        )
    if shown:
        lines += [
            "missed below: the smallest difference that would be seen in 8 of 10 such comparisons",
            "up/down/same: prompts in which it is higher, lower and equal to the baseline",
        ]
    return lines


def _equal_line(rows: Sequence[Comparison]) -> str:
    """A metric in which no prompt differs, with its widest interval if it has any."""
    fewest = min(rows, key=lambda row: row.n)
    ends = "" if fewest.ci95 is None else f" {interval_text(fewest)}"
    return f"{side_noun(fewest.metric)}: equal for each of {prompts_text(fewest)}{ends}"


def _row_remarks(row: Comparison) -> list[str]:
    unmatched = row.unmatched.total
    left_out = [f"{plural(unmatched, 'prompt')} {ONE_SIDE_ONLY}"] if unmatched else []
    return [*remarks(row), *left_out]
