"""Sentences on the model equality test, and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.analysis.equality.model_equality import ModelEquality, Verdict
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import (
    DASH,
    MINUS,
    p_number,
    p_value,
    strict_percent,
)
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.table import Table

HEADING = "Model equality"
NOTE = (
    "p: how often outputs dealt anew to the two sides, within each prompt, are at least so far "
    "apart; one test of all prompts together, adjusted for all pairs. A small p says that the "
    "outputs come from different distributions, not why. A large one never shows that the models "
    "are equal. MMD²: agreement within the sides less that across, twice; around 0 where both are "
    "equal."
)
_MAX_SENTENCES = 6
_MAX_NAME = 60
MAX_ROWS = 15
_COUNTED: dict[Verdict, str] = {
    "differs": "differ in distribution",
    "not detected": "without a detected difference",
    "identical": "with the same output throughout",
    "not measurable": "not measurable",
}


def equality_lines(rows: Sequence[ModelEquality]) -> list[str]:
    """A sentence a pair; of many pairs one on all of them."""
    if len(rows) <= _MAX_SENTENCES:
        return [equality_sentence(row) for row in rows]
    counts = Counter(row.verdict for row in rows)
    parts = [f"{counts[v]:,} {text}" for v, text in _COUNTED.items() if counts[v]]
    return [f"{plural(len(rows), 'pair')}: {', '.join(parts)}."]


def equality_sentence(row: ModelEquality) -> str:
    """What the test says of a pair, and what it would have found."""
    start = f"{_names(row)}: "
    if row.verdict == "not measurable":
        return f"{start}not measurable here, because {row.reason}."
    size = _size(row)
    if row.verdict == "identical":
        below = strict_percent(row.differing_below)
        return (
            f"{start}no two outputs to a prompt differ ({size}; p = 1): prompts with another "
            f"output are below {below} (95 %)."
        )
    agreement = (
        f"two outputs of one agree at {strict_percent(row.own_a)} and {strict_percent(row.own_b)} "
        f"of {_positions(row)}, one of each at {strict_percent(row.across)}"
    )
    figures = f"{p_value(row.p_adjusted)}; MMD² {mmd2_text(row)}; {size}"
    if row.verdict == "differs":
        return f"{start}their outputs come from different distributions ({figures}): {agreement}."
    return f"{start}no difference detected ({figures}): {agreement}. {_sensitivity(row)}"


def _sensitivity(row: ModelEquality) -> str:
    if row.detectable_mmd2 is None:
        return ""
    ending = f"would be found in {100 * row.power:.0f} % of such runs, a smaller one less often."
    size = f"A difference of MMD² {_figure(row.detectable_mmd2)}"
    if row.detectable_share is None:
        return f"{size} {ending}"
    share = strict_percent(row.detectable_share)
    return (
        f"{size}, as where {share} of one side's outputs are as unlike as outputs to other "
        f"prompts, {ending}"
    )


def _names(row: ModelEquality) -> str:
    names = [row.a_label, row.b_label]
    if row.a_run is not None:
        names = [f"{row.a_run}: {row.a_label}", f"{row.b_run}: {row.b_label}"]
    return " and ".join(one_line(name, _MAX_NAME) for name in names)


def _size(row: ModelEquality) -> str:
    text = f"{plural(row.prompts, 'prompt')}, {row.outputs_a:,} and {row.outputs_b:,} outputs"
    if row.prompts_left_out:
        text += f", {plural(row.prompts_left_out, 'prompt')} left out"
    if row.empty_a or row.empty_b:
        text += f", {row.empty_a:,} and {row.empty_b:,} of them empty"
    return text


def _positions(row: ModelEquality) -> str:
    length = plural(row.length or 0, row.unit)
    return f"the first {length}" if row.cut else f"{length} (shorter outputs padded)"


def mmd2_text(row: ModelEquality) -> str:
    """``0.0312 [0.0204, 0.0411]``."""
    if row.mmd2 is None:
        return DASH
    ends = ""
    if row.mmd2_ci95 is not None:
        ends = f" [{_figure(row.mmd2_ci95[0])}, {_figure(row.mmd2_ci95[1])}]"
    return _figure(row.mmd2) + ends


def _figure(value: float) -> str:
    text = f"{abs(value):.4f}" if abs(value) < 1.0 else f"{abs(value):.3f}"
    return f"{MINUS}{text}" if value < 0 and float(text) else text


def equality_table(rows: Sequence[ModelEquality], limit: int = MAX_ROWS) -> PlainTable:
    """One row a pair that was measured, the smallest p first."""
    known = sorted((row for row in rows if row.p is not None), key=lambda row: row.p or 0.0)
    cells = [
        [
            _names(row),
            row.verdict,
            p_number(row.p_adjusted),
            mmd2_text(row),
            strict_percent(row.own_a),
            strict_percent(row.own_b),
            strict_percent(row.across),
            f"{row.prompts:,}",
            f"{row.outputs_a:,} / {row.outputs_b:,}",
            DASH if row.detectable_mmd2 is None else _figure(row.detectable_mmd2),
        ]
        for row in known
    ]
    headings = [
        "settings", "verdict", "p", "MMD² [95 % CI]", "agree within\nfirst", "within\nsecond",
        "across", "prompts", "outputs", "MMD² found\nin 80 %",
    ]  # fmt: skip
    return PlainTable(HEADING, headings, cells[:limit], max(0, len(cells) - limit))


def console_tables_of_equality(rows: Sequence[ModelEquality], width: int) -> list[Table]:
    """The table of a terminal, where there is more than one pair to tell apart."""
    from evalharness.report.console.table_layout import fit_plain_table

    table = equality_table(rows)
    return fit_plain_table(table, width) if len(table.rows) > 1 else []
