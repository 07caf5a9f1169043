"""``compare --html``: one self-contained page about several runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from evalharness.analysis.across.agreement_across import AgreementAcross
from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.prompt_changes import PromptChange
from evalharness.analysis.equality.model_equality import ModelEquality
from evalharness.analysis.logprobs.logprob_distance import LogprobDistance
from evalharness.analysis.tool_calls.tool_call_check import ToolCallCheck
from evalharness.report.build.compared_runs import ComparedRuns
from evalharness.report.html.excerpts import Piece, word_diff
from evalharness.report.html.page import render_fragment, render_page
from evalharness.report.sections.comparisons.across_tables import NOTE, across_table
from evalharness.report.sections.comparisons.across_words import (
    NOTHING_COMPARED,
    across_lines,
    is_anything_compared,
    none_detected,
)
from evalharness.report.sections.comparisons.differences import split_differences
from evalharness.report.sections.comparisons.run_text import (
    change_cells,
    change_lines,
    differences_table,
    kinds_text,
    match_lines,
    new_and_gone,
    no_difference_line,
    output_text,
    own_figures_table,
)
from evalharness.report.sections.comparisons.words import (
    interval_text,
    metric_noun,
    metric_rank,
    prompts_text,
    row_label,
    stratum_suffix,
)
from evalharness.report.sections.equality.words import NOTE as EQUALITY_NOTE
from evalharness.report.sections.equality.words import equality_lines, equality_table
from evalharness.report.sections.logprobs.words import NOTE as LOGPROB_NOTE
from evalharness.report.sections.logprobs.words import distance_lines, distance_table
from evalharness.report.sections.tool_calls.words import NOTE as CHECK_NOTE
from evalharness.report.sections.tool_calls.words import QUESTION as CHECK_QUESTION
from evalharness.report.sections.tool_calls.words import check_lines, check_table
from evalharness.report.words.format_numbers import (
    metric_difference,
    metric_value,
    p_value,
    parameter_text,
)
from evalharness.report.words.plain_table import PlainTable
from evalharness.store.folder.durable_files import USER_FILE_MODE, write_bytes_durably

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_CHANGES = 500  # on the page
_UNFOLDED = 5


class CompareLinks(Protocol):
    """The addresses that a page with links leads to; runs are called as in the comparison."""

    def prompt(self, prompt_id: str, before: str, after: str) -> str:
        """All outputs of a prompt, as the run ``before`` calls it, in both runs."""
        ...

    def records(self, prompt_id: str, run: str) -> str:
        """The records of a prompt in one run."""
        ...

    def regressed(self, run: str, baseline: str) -> str:
        """The records of a run whose prompts scored higher in the baseline run."""
        ...


class _ChangeView(NamedTuple):
    prompt_id: str
    kinds: str
    label: str
    cells: list[str]
    before_run: str
    after_run: str
    before: str
    after: str
    pieces: list[Piece]
    unfolded: bool


def write_run_page(
    runs: ComparedRuns,
    rows: Sequence[Comparison],
    changes: Sequence[PromptChange],
    target: Path,
    across: Sequence[AgreementAcross] = (),
    *,
    equality: Sequence[ModelEquality] = (),
    logprobs: Sequence[LogprobDistance] = (),
    tool_calls: Sequence[ToolCallCheck] = (),
) -> None:
    """Write the page about several runs as one HTML file.

    Raises:
        StorageError: the file cannot be written.
    """
    page = render_page(
        "compare.html.j2",
        title=" · ".join(runs.runs),
        content=run_page_content(
            runs,
            rows,
            changes,
            across,
            equality=equality,
            logprobs=logprobs,
            tool_calls=tool_calls,
        ),
    )
    write_bytes_durably(target, page.encode("utf-8"), mode=USER_FILE_MODE)


def run_page_content(
    runs: ComparedRuns,
    rows: Sequence[Comparison],
    changes: Sequence[PromptChange],
    across: Sequence[AgreementAcross],
    links: CompareLinks | None = None,
    *,
    equality: Sequence[ModelEquality] = (),
    logprobs: Sequence[LogprobDistance] = (),
    tool_calls: Sequence[ToolCallCheck] = (),
) -> Markup:
    """What the page shows below its title; with links where there are pages to lead to."""
    shown = sorted((row for row in rows if row.n), key=metric_rank)
    view = _view(runs, shown, changes, across)
    return render_fragment(
        "compare_content.html.j2",
        p=view,
        parts=[
            *_equality_parts(equality),
            *_logprob_parts(logprobs),
            *_tool_call_parts(tool_calls),
        ],
        links=links,
    )


def _view(
    runs: ComparedRuns,
    rows: Sequence[Comparison],
    changes: Sequence[PromptChange],
    across: Sequence[AgreementAcross],
) -> dict[str, Any]:
    detected, _ = split_differences(rows)
    compared = is_anything_compared(rows, across)
    none = none_detected(across) if compared else NOTHING_COMPARED
    outputs = across_lines(across)
    views = [_change_view(c, n < _UNFOLDED) for n, c in enumerate(changes[:MAX_CHANGES])]
    return {
        "obstacles": runs.obstacles,
        "sentences": [difference.text for difference in detected] or [none],
        "across_lines": outputs,
        "across": across_table(across, MAX_CHANGES) if outputs else None,
        "across_note": NOTE,
        "matched": match_lines(runs),
        "same": "" if runs.differences else no_difference_line(runs),
        "own_figures": own_figures_table(runs),
        "comparisons": _comparison_table(rows),
        "differences": differences_table(runs),
        "change_lines": change_lines(changes, runs),
        "changes": views,
        "are_words_marked": any(view.pieces for view in views),
        "matches": [match for match in runs.prompts if match.common],
        "more": max(0, len(changes) - MAX_CHANGES),
        "arguments": shlex.join(runs.runs),
        "lists": [
            (heading[0].upper() + heading[1:], names) for heading, names in new_and_gone(runs)
        ],
    }


class _PartView(NamedTuple):
    """A part of the page that was asked for."""

    anchor: str
    heading: str
    lines: list[str]
    table: PlainTable
    note: str


def _equality_parts(rows: Sequence[ModelEquality]) -> list[_PartView]:
    if not rows:
        return []
    lines, table = equality_lines(rows), equality_table(rows, MAX_CHANGES)
    return [_PartView("equality", "Is it the same model?", lines, table, EQUALITY_NOTE)]


def _logprob_parts(rows: Sequence[LogprobDistance]) -> list[_PartView]:
    if not rows:
        return []
    heading = "How far apart are the log probabilities?"
    lines, table = distance_lines(rows), distance_table(rows, MAX_CHANGES)
    return [_PartView("logprobs", heading, lines, table, LOGPROB_NOTE)]


def _tool_call_parts(rows: Sequence[ToolCallCheck]) -> list[_PartView]:
    if not rows:
        return []
    lines, table = check_lines(rows), check_table(rows, MAX_CHANGES)
    return [_PartView("tool-calls", CHECK_QUESTION, lines, table, CHECK_NOTE)]


def _comparison_table(rows: Sequence[Comparison]) -> PlainTable | None:
    if not rows:
        return None
    base, others = parameter_text(rows[0].b_value), {parameter_text(row.a_value) for row in rows}
    cells = [
        [
            metric_noun(row.metric) + stratum_suffix(row.stratum)
            if len(others) == 1
            else row_label(row),
            metric_value(row.metric, row.b_mean),
            metric_value(row.metric, row.a_mean),
            metric_difference(row.metric, row.difference, row.largest_figure),
            "" if row.ci95 is None and row.unit != "search" else interval_text(row),
            "" if row.p_adjusted is None else p_value(row.p_adjusted),
            prompts_text(row),
        ]
        for row in rows
    ]
    # Of several runs each row says which one it is about.
    other = others.pop() if len(others) == 1 else "the run"
    figures = [f"in {base}", f"in {other}"]
    headings = ["figure", *figures, "difference", "95 % CI", "p", "of"]
    return PlainTable("comparisons", headings, cells)


def _change_view(change: PromptChange, unfolded: bool) -> _ChangeView:
    before, after = change.before.text, change.after.text
    both = before is not None and after is not None and before != after
    return _ChangeView(
        prompt_id=change.prompt_id,
        kinds=kinds_text(change),
        label=change.after.label,
        cells=change_cells(change),
        before_run=change.before.run,
        after_run=change.after.run,
        before=output_text(change.before),
        after=output_text(change.after),
        pieces=word_diff(before or "", after or "") if both else [],
        unfolded=unfolded,
    )
