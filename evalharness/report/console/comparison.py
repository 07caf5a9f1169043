"""What ``compare`` prints: the conclusion, then a table of every comparison that says something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console

from evalharness.analysis.comparison.sentences import is_hopeless, remarks
from evalharness.report.console.fitted_tables import Column, fitting
from evalharness.report.console.report import console_for_report, say
from evalharness.report.words import format_numbers as n
from evalharness.report.words.differences import (
    all_tied,
    differences,
    noun_of,
    prompts_of,
    rank,
    slope_of,
    slopes,
)

Row = dict[str, Any]


class Compared(NamedTuple):
    """Comparisons and trends along one axis; ``again`` is the command that made them.

    ``strata`` also shows the comparisons within each value of the other axes.
    """

    rows: Sequence[Row]
    trends: Sequence[Row]
    again: str
    strata: bool = False


def print_comparisons(found: Compared, console: Console | None = None) -> None:
    """Print the differences that are real in words, and all there are as tables.

    Where an axis was pooled over the others, the pooled rows stand for it unless strata are asked
    for. A metric in which no prompt differs anywhere is named, not listed.
    """
    console = console or console_for_report()
    known = sorted((row for row in found.rows if row["n"]), key=rank)
    for line in _conclusion(known, found.trends):
        say(console, line)
    constant = {row["metric"] for row in known} - {
        row["metric"] for row in known if not all_tied(row)
    }
    listed = [row for row in known if row["metric"] not in constant]
    pooled = any(row["pooled"] for row in listed)
    shown = [row for row in listed if row["pooled"] or not pooled or found.strata]
    shown.sort(key=lambda row: not row["pooled"])
    if shown:
        _print_table(_comparisons(shown), console)
    if found.strata or not any(row["stratum"] for row in found.trends):
        moving = [row for row in found.trends if row["metric"] not in constant and row["n"]]
        if moving:
            _print_table(_trends(sorted(moving, key=rank)), console)
    console.print()
    for line in _below(known, shown, constant):
        say(console, line, style="dim")
    hidden = len(listed) - len(shown)
    if hidden:
        within = n.plural(hidden, "comparison") + " within single settings of the other axes"
        say(console, f"{within}: {found.again} --strata")


def _conclusion(rows: Sequence[Row], trends: Sequence[Row]) -> list[str]:
    real, _ = differences(rows)
    told = [*(one.text for one in real), *slopes(trends)]
    if not told:
        told = ["No difference was detected at this size; that does not mean equal."]
    return ["Which settings really differ?", *(f"  {line}" for line in told)]


class _Table(NamedTuple):
    first: Column
    columns: list[Column]


def _print_table(table: _Table, console: Console) -> None:
    for part in fitting(table.first, table.columns, console.width):
        console.print()
        console.print(part)


def _comparisons(rows: Sequence[Row]) -> _Table:
    by, base = rows[0]["by"], n.parameter(rows[0]["b_value"])
    columns = [
        Column(f"at\n{base}", [n.value_of(row["metric"], row["b_mean"]) for row in rows]),
        Column("here", [n.value_of(row["metric"], row["a_mean"]) for row in rows]),
        Column("difference\n[95% CI]", [_difference(row) for row in rows]),
        Column("p", [_p(row) for row in rows]),
        Column("missed\nbelow", [_detectable(row) for row in rows]),
        Column("up/down\n/same", [_tally(row) for row in rows]),
    ]
    if any(row["equivalence"] for row in rows):
        columns.append(Column("equal\nwithin", [_equivalence(row) for row in rows]))
    return _Table(Column(f"{by}\nagainst {base}", [_label(row) for row in rows]), columns)


def _trends(rows: Sequence[Row]) -> _Table:
    columns = [
        Column("slope\n[95% CI]", [_slope(row) for row in rows]),
        Column("p", [_p(row) for row in rows]),
        Column("prompts", [str(row["n"]) for row in rows]),
    ]
    labels = [noun_of(row["metric"]) + _place(row["stratum"]) for row in rows]
    return _Table(Column(f"per unit of\n{rows[0]['by']}", labels), columns)


def _label(row: Row) -> str:
    return f"{noun_of(row['metric'])} at {n.parameter(row['a_value'])}{_place(row['stratum'])}"


def _place(stratum: Row) -> str:
    return "".join(f", {key} {n.parameter(value)}" for key, value in stratum.items())


def _difference(row: Row) -> str:
    beside = n.largest_of(row)
    ends = "[alike]" if row["ci95"] is None else _ends(row, beside)
    return f"{n.difference_of(row['metric'], row['difference'], beside)} {ends}"


def _ends(row: Row, beside: float) -> str:
    return n.difference_interval(row["metric"], row["ci95"], beside)


def _slope(row: Row) -> str:
    size, ends = slope_of(row)
    return f"{size} {'[alike]' if row['ci95'] is None else ends}"


def _p(row: Row) -> str:
    p = row["p_adjusted"]
    return n.DASH if p is None else n.p_value(p).removeprefix("p\u00a0").removeprefix("=\u00a0")


def _detectable(row: Row) -> str:
    if row["mde"] is None:
        return n.DASH
    if is_hopeless(row):
        return "any"
    return n.size_of(row["metric"], row["mde"], n.largest_of(row))


def _tally(row: Row) -> str:
    return f"{row['wins']}/{row['losses']}/{row['ties']}"


def _equivalence(row: Row) -> str:
    test = row["equivalence"]
    if test is None or test["p"] is None:
        return n.DASH
    return f"±{100 * test['margin']:g} pp: {n.p_value(test['p'])}"


def _below(known: Sequence[Row], shown: Sequence[Row], constant: set[str]) -> list[str]:
    """What the tables leave out, and how they are read."""
    lines = [_equal([row for row in known if row["metric"] == name]) for name in sorted(constant)]
    lines += [f"{_label(row)}: {said}" for row in shown for said in _said(row)]
    family = max((row["family"] for row in known), default=0)
    if family > 1:
        lines.append(f"p: adjusted for up to {family} comparisons of one metric")
    if any(row["ci95"] is None for row in shown):
        lines.append("[alike]: every prompt differs by the same amount, so there is no interval")
    if shown:
        lines += [
            "missed below: the smallest difference that would be seen in 8 of 10 such comparisons",
            "up/down/same: prompts in which it is higher, lower and equal to the baseline",
        ]
    return lines


def _equal(rows: Sequence[Row]) -> str:
    """A metric in which nothing differs, with the widest of its intervals where it has one."""
    fewest = min(rows, key=lambda row: row["n"])
    ends = "" if fewest["ci95"] is None else f" {_ends(fewest, n.largest_of(fewest))}"
    return f"{noun_of(fewest['metric'])}: equal for each of {prompts_of(fewest)}{ends}"


def _said(row: Row) -> list[str]:
    unmatched = row["unmatched"]["a"] + row["unmatched"]["b"]
    left = f"{n.plural(unmatched, 'prompt')} with a value on one side only left out"
    return [*remarks(row), *([left] if unmatched else [])]
