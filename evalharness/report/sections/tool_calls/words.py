"""Sentences on tool calls against a reference, and their table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.analysis.tool_calls.tool_call_check import (
    CheckVerdict,
    ToolCallCheck,
    ToolCallSide,
)
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import (
    DASH,
    difference_interval,
    metric_difference,
    p_number,
    p_value,
    share_interval,
    strict_percent,
)
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.table import Table

HEADING = "Tool calls"
QUESTION = "Does it call tools as the reference does?"
NOTE = (
    "F1: of the decisions to call (finish reason tool_calls), every answer with every answer of "
    "the reference to the same prompt. Its own: the reference with its own repeats, as near as an "
    "equal model comes. Valid: of the answers that call, those whose calls all name an offered "
    "function and fit its schema. p: the smallest of three tests (how often it calls, how often "
    "calls are valid, paired by prompt; which prompts lead to what, by dealing answers anew within "
    "prompts) times three, adjusted for all pairs."
)
_MAX_SENTENCES = 6
_MAX_NAME = 60
MAX_ROWS = 15
_COUNTED: dict[CheckVerdict, str] = {
    "differs": "call otherwise than the reference",
    "not detected": "without a detected difference",
    "not measurable": "not measurable",
}


def check_lines(rows: Sequence[ToolCallCheck]) -> list[str]:
    """A sentence a setting; of many settings one on all of them."""
    if len(rows) <= _MAX_SENTENCES:
        return [check_sentence(row) for row in rows]
    counts = Counter(row.verdict for row in rows)
    parts = [f"{counts[v]:,} {text}" for v, text in _COUNTED.items() if counts[v]]
    return [f"{plural(len(rows), 'setting')}: {', '.join(parts)}."]


def check_sentence(row: ToolCallCheck) -> str:
    """What the calls of a setting say."""
    start, side, across = f"{_names(row)}: ", row.side, row.across
    if row.verdict == "not measurable" or side is None or across is None:
        return f"{start}not measurable here, because {row.reason}."
    text = f"{start}F1 {_share(across.f1, across.f1_ci95)} of the decisions to call"
    if row.own is not None:
        text += f" (the reference with itself {_share(row.own.f1, row.own.f1_ci95)})"
    text += f"; {_schema_text(side)}; {plural(row.prompts, 'prompt')}"
    ending = "calls otherwise" if row.verdict == "differs" else "no difference detected"
    return f"{text}: {ending} ({p_value(row.p_adjusted)}). {_differences(row)}.{_faults(side)}"


def _differences(row: ToolCallCheck) -> str:
    """The differences of shares to the reference."""
    text = f"Answers that call: {_points(row.call_rate, row.call_rate_ci95)} to the reference"
    if row.valid_rate is not None:
        text += f"; valid ones of them: {_points(row.valid_rate, row.valid_rate_ci95)}"
    return text


def _points(value: float | None, ends: Sequence[float] | None) -> str:
    """``−3.1 pp [−5.0, −1.2]``."""
    return " ".join(
        part
        for part in (metric_difference("score", value), difference_interval("score", ends))
        if part
    )


def _schema_text(side: ToolCallSide) -> str:
    calls = side.finish_reasons["tool_calls"]
    if side.schema_accuracy is None:
        return "it never calls"
    accuracy = _share(side.schema_accuracy, side.schema_accuracy_ci95)
    return f"{accuracy} of its {calls:,} calling answers valid"


def _faults(side: ToolCallSide) -> str:
    """What is wrong with calls, in counts; empty where nothing is."""
    faults = [
        (side.unknown_names, "call", "of a function that was not offered"),
        (side.unreadable, "call", "with arguments that are no JSON object"),
        (side.misfits, "call", "with arguments that do not fit the schema"),
        (side.calls_without_reason, "answer", "with calls and another finish reason"),
        (side.reason_without_calls, "answer", "with that finish reason and no call"),
        (side.calls_in_text, "answer", "with a call in the text instead"),
    ]
    parts = [f"{plural(count, noun)} {text}" for count, noun, text in faults if count]
    return f" {', '.join(parts)}." if parts else ""


def _share(value: float | None, ends: Sequence[float] | None) -> str:
    return f"{strict_percent(value)} {share_interval(ends, strict=True)}".strip()


def _names(row: ToolCallCheck) -> str:
    names = [row.a_label, row.b_label]
    if row.a_run is not None:
        names = [f"{row.a_run}: {row.a_label}", f"{row.b_run}: {row.b_label}"]
    return " against ".join(one_line(name, _MAX_NAME) for name in names)


def check_table(rows: Sequence[ToolCallCheck], limit: int = MAX_ROWS) -> PlainTable:
    """One row a setting that was measured, the least F1 first."""
    known = [(row, row.across, row.side) for row in rows if row.across and row.side]
    known.sort(key=lambda each: 2.0 if each[1].f1 is None else each[1].f1)
    cells = [
        [
            _names(row),
            row.verdict,
            p_number(row.p_adjusted),
            _share(across.f1, across.f1_ci95),
            DASH if row.own is None else strict_percent(row.own.f1),
            strict_percent(across.precision),
            strict_percent(across.recall),
            _share(side.schema_accuracy, side.schema_accuracy_ci95),
            " / ".join(f"{side.finish_reasons[k]:,}" for k in ("tool_calls", "stop", "other")),
            f"{side.unknown_names:,} / {side.unreadable:,} / {side.misfits:,}",
            f"{side.errors:,}",
            f"{row.prompts:,}",
        ]
        for row, across, side in known
    ]
    headings = [
        "settings", "verdict", "p", "F1 [95 % CI]", "its own", "precision", "recall",
        "valid [95 % CI]", "tool_calls /\nstop / other", "unknown / no\nJSON / misfit", "errors",
        "prompts",
    ]  # fmt: skip
    return PlainTable(HEADING, headings, cells[:limit], max(0, len(cells) - limit))


def console_tables_of_checks(rows: Sequence[ToolCallCheck], width: int) -> list[Table]:
    """The table of a terminal."""
    from evalharness.report.console.table_layout import fit_plain_table

    table = check_table(rows)
    return fit_plain_table(table, width) if table.rows else []
