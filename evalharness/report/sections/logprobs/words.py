"""Sentences on log probabilities, and the table of their distances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.analysis.logprobs.figures import LogprobFigures
from evalharness.analysis.logprobs.logprob_distance import DistanceVerdict, LogprobDistance
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import (
    DASH,
    MINUS,
    p_number,
    p_value,
    share_interval,
    strict_percent,
)
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.table import Table

HEADING = "Log probabilities"
NOTE = (
    "Log probabilities (natural) are compared where all tokens before are equal. Across less "
    "within: what tells the sides apart beyond the noise of repeats; p by dealing outputs anew "
    "within prompts, adjusted for all pairs. KL: from the candidates that are listed, a lower "
    "bound."
)
_MAX_SENTENCES = 6
_MAX_NAME = 60
MAX_ROWS = 15
_COUNTED: dict[DistanceVerdict, str] = {
    "differs": "further apart than their repeats",
    "not detected": "not detectably further apart than their repeats",
    "identical": "equal in every bit",
    "not tested": "not tested against repeats",
    "not measurable": "not measurable",
}


def distance_lines(rows: Sequence[LogprobDistance]) -> list[str]:
    """A sentence a pair; of many pairs one on all of them."""
    if len(rows) <= _MAX_SENTENCES:
        return [distance_sentence(row) for row in rows]
    counts = Counter(row.verdict for row in rows)
    parts = [f"{counts[v]:,} {text}" for v, text in _COUNTED.items() if counts[v]]
    return [f"{plural(len(rows), 'pair')}: {', '.join(parts)}."]


def distance_sentence(row: LogprobDistance) -> str:
    """What the log probabilities of a pair say."""
    start, across = f"{_names(row)}: ", row.across
    if across is None or row.verdict == "not measurable":
        return f"{start}not measurable here, because {row.reason}."
    size = f"{across.compared:,} compared, {plural(across.prompts, 'prompt')}"
    if row.verdict == "identical":
        return f"{start}every log probability is equal in every bit ({size})."
    text = f"{start}{figures_text(across)} ({size})"
    if row.verdict == "not tested":
        return f"{text}. Not tested against the noise of repeats, because {row.reason}."
    excess = (
        f"{logprob_text(row.excess)} {_interval(row.excess_ci95)} more than repeats of one side, "
        f"{p_value(row.p_adjusted)}, {plural(row.tested_prompts, 'prompt')}"
    )
    if row.verdict == "differs":
        return f"{text}: {excess}: further apart than the repeats of each."
    return f"{text}: {excess}: not detectably further apart than the repeats of each."


def figures_text(figures: LogprobFigures) -> str:
    """The figures of some pairs of outputs in words."""
    parts = [
        f"log probabilities differ by {logprob_text(figures.mean)} {_interval(figures.mean_ci95)} "
        f"on average, by {logprob_text(figures.largest)} at most",
        f"{strict_percent(figures.equal)} {share_interval(figures.equal_ci95, strict=True)} equal "
        "in every bit",
    ]
    if figures.kl is not None:
        parts.append(f"KL {logprob_text(figures.kl)} {_interval(figures.kl_ci95)} nats")
    if figures.top_differs is not None:
        parts.append(_likeliest_text(figures))
    return ", ".join(parts)


def _likeliest_text(figures: LogprobFigures) -> str:
    differs = figures.top_differs
    if differs is None or not differs.prompts:
        return "the likeliest token is the same throughout"
    earliest = plural(differs.earliest or 0, "token")
    return (
        f"the likeliest token differs on {plural(differs.prompts, 'prompt')}, after {earliest} at "
        "the earliest"
    )


def logprob_text(value: float | None) -> str:
    """A difference of log probabilities: three digits."""
    if value is None:
        return DASH
    text = f"{abs(value):.3g}"
    return f"{MINUS}{text}" if value < 0 else text


def _interval(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"[{logprob_text(ends[0])}, {logprob_text(ends[1])}]"


def _names(row: LogprobDistance) -> str:
    names = [row.a_label, row.b_label]
    if row.a_run is not None:
        names = [f"{row.a_run}: {row.a_label}", f"{row.b_run}: {row.b_label}"]
    return " and ".join(one_line(name, _MAX_NAME) for name in names)


def distance_table(rows: Sequence[LogprobDistance], limit: int = MAX_ROWS) -> PlainTable:
    """One row a pair that was measured, the furthest apart first."""
    known = [(row, row.across) for row in rows if row.across is not None]
    known.sort(key=lambda each: each[1].mean or 0.0, reverse=True)
    cells = [
        [
            _names(row),
            row.verdict,
            p_number(row.p_adjusted),
            f"{logprob_text(across.mean)} {_interval(across.mean_ci95)}",
            logprob_text(None if row.own_a is None else row.own_a.mean),
            logprob_text(None if row.own_b is None else row.own_b.mean),
            logprob_text(across.largest),
            strict_percent(across.equal),
            logprob_text(across.kl),
            f"{across.prompts:,}",
            f"{across.compared:,}",
        ]
        for row, across in known
    ]
    headings = [
        "settings", "verdict", "p", "mean |Δ|\n[95 % CI]", "within\nfirst", "within\nsecond",
        "largest", "equal", "KL\nnats", "prompts", "compared",
    ]  # fmt: skip
    return PlainTable(HEADING, headings, cells[:limit], max(0, len(cells) - limit))


def console_tables_of_distances(rows: Sequence[LogprobDistance], width: int) -> list[Table]:
    """The table of a terminal, where there is more than one pair to tell apart."""
    from evalharness.report.console.table_layout import fit_plain_table

    table = distance_table(rows)
    return fit_plain_table(table, width) if len(table.rows) > 1 else []
