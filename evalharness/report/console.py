"""The report on a terminal: one row a setting, readable in 100 columns."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalharness.report.caveats import unscored
from evalharness.report.judges import judge_lines
from evalharness.report.money import money_lines
from evalharness.report.story import Story, tell
from evalharness.report.text import one_line, printable

DASH = "—"
_MOST_DIFFERENCES = 6
_NAME = 12  # least width of a setting's name
_GAP = 2  # between columns
Row = dict[str, Any]


class Field(msgspec.Struct, frozen=True):
    """One column: a heading of two lines and how to fill it from a setting of the JSON."""

    heading: str
    fill: Callable[[Row], str]


def _part(row: Row, name: str) -> Row:
    """A part of a setting that may be null altogether."""
    return row.get(name) or {}


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage; the dash when unknown, never 0."""
    return DASH if value is None else f"{100 * value:.{digits}f}%"


def interval(ci: list[float] | tuple[float, float] | None, scale: float = 100) -> str:
    """An interval of a share in whole points, cut to what a share can be.

    A t interval of few prompts may reach beyond 0 or 1; the JSON has it as computed.
    """
    if ci is None:
        return ""
    low, high = (min(1.0, max(0.0, end)) for end in ci)
    return f" [{scale * low:.0f},{scale * high:.0f}]"


def seconds(value: float | None) -> str:
    """A duration with three significant digits, two when it is short."""
    if value is None:
        return DASH
    return f"{value:.3g}" if value >= 0.1 else f"{value:.2g}"


def money(value: float | str | None) -> str:
    """Dollars with enough digits to see cents of cents."""
    if value is None:
        return DASH
    amount = float(value)
    return "0" if amount == 0 else f"{amount:.4f}" if amount < 1 else f"{amount:.2f}"


def _with_interval(part: Row | None, key: str, ci_key: str = "ci95") -> str:
    if not part or part.get(key) is None:
        return DASH
    return percent(part[key]) + interval(part.get(ci_key))


def _tokens(row: Row) -> str:
    tokens: Row = row.get("tokens") or {}
    found = [tokens.get(name, {}).get("total") for name in ("prompt_tokens", "completion_tokens")]
    return "/".join(DASH if n is None else _count(n) for n in found)


def _count(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 10_000 else f"{number:.0f}"


def _latency(row: Row) -> str:
    latency: Row = row.get("latency_s") or {}
    return f"{seconds(latency.get('p50'))}/{seconds(latency.get('p95'))}"


def _fields(rows: list[Row]) -> list[Field]:
    fields = [
        Field("trials", lambda r: str(r["trials"])),
        Field("ok %", lambda r: percent(r["status_share"]["ok"])),
        *_mishaps(rows),
        Field("same text\n[95% CI]", lambda r: _with_interval(r["agreement"]["raw"], "pairwise")),
        Field("all N\nsame", lambda r: percent(r["agreement"]["raw"].get("tar_at_n"))),
    ]
    if any(_part(r["agreement"], "answer").get("pairwise") is not None for r in rows):
        fields.append(
            Field("same\nanswer", lambda r: percent(r["agreement"]["answer"].get("pairwise")))
        )
    return [
        *fields,
        Field("score\n[95% CI]", lambda r: _with_interval(r.get("score"), "mean")),
        Field("latency s\np50/p95", _latency),
        Field("tokens\nin/out", _tokens),
        Field("cost $", lambda r: money(_part(r, "cost_usd").get("total"))),
    ]


def _mishaps(rows: list[Row]) -> list[Field]:
    """The other statuses that occurred, in one column: why a share is not ok is worth its width."""
    words = {"truncated": "cut", "empty": "empty", "refused": "refused", "error": "error"}
    seen = [status for status in words if any(r["status"][status] for r in rows)]
    if not seen:
        return []
    if len(seen) == 1:
        return [Field(f"{words[seen[0]]} %", lambda r: percent(r["status_share"][seen[0]]))]
    # A heading of two lines, however many there are: a column each would push the names out.
    names = [words[status] for status in seen]
    half = (len(names) + 1) // 2
    heading = f"{'/'.join(names[:half])}\n/{'/'.join(names[half:])} %"
    return [Field(heading, lambda r: "/".join(f"{100 * r['status_share'][s]:.0f}" for s in seen))]


def settings_tables(rows: list[Row], width: int) -> list[Table]:
    """The table of settings, ``rows`` being the ``settings`` of the JSON.

    Several tables, each with the names of the settings, where one would be wider than ``width``:
    no column is ever cut.
    """
    parts: list[list[Field]] = [[]]
    used = _NAME
    for field in _fields(rows):
        needs = _GAP + _width(field, rows)
        if parts[-1] and used + needs > width:
            parts.append([])
            used = _NAME
        parts[-1].append(field)
        used += needs
    return [_table(rows, fields) for fields in parts]


def _width(field: Field, rows: list[Row]) -> int:
    return max(len(line) for row in rows for line in [*field.heading.split("\n"), field.fill(row)])


def _table(rows: list[Row], fields: list[Field]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=False)
    table.add_column("setting", overflow="fold", min_width=_NAME)
    for field in fields:
        table.add_column(field.heading, justify="right", no_wrap=True)
    for row in rows:
        label = Text(one_line(row["label"], 60))
        table.add_row(label, *(Text(field.fill(row)) for field in fields))
    return table


def scores_table(data: Row) -> Table:
    """One column a scorer: the table of settings has room for the first alone."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", expand=False)
    table.add_column("mean score by scorer", overflow="fold", min_width=12)
    names = [scorer["name"] for scorer in data["scorers"]]
    for name in names:
        table.add_column(Text(f"{one_line(name, 24)}\n[95% CI]"), justify="right")
    for row in data["settings"]:
        parts = [row["score"], *(row["scores"].get(name) for name in names[1:])]
        cells = [Text(_with_interval(part, "mean")) for part in parts]
        table.add_row(Text(one_line(row["label"], 60)), *cells)
    return table


def print_report(data: Row, console: Console | None = None) -> None:
    """Print what a person needs: what ran, the answers, what limits them, the table."""
    console = console or console_for_report()
    rows: list[Row] = data["settings"]
    for line in heading(data):
        console.print(Text(line), soft_wrap=True)
    for line in findings(data):
        console.print(Text(printable(line)), soft_wrap=True)
    for table in settings_tables(rows, console.width):
        console.print(table)
    if len(data["scorers"]) > 1:
        console.print()
        console.print(scores_table(data))
    for line in money_lines(data):
        console.print(Text(printable(line)), soft_wrap=True)
    for line in footnotes(data):
        console.print(Text(line, style="dim"), soft_wrap=True)


def console_for_report() -> Console:
    """A console as wide as the terminal; 100 columns where there is none to ask."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100
    return Console(highlight=False, width=width)


def heading(data: Row) -> list[str]:
    """What was run, in two lines."""
    run = data["run"]
    repeats = sorted({r["agreement"]["raw"]["n"] for r in data["settings"]} - {None, 0})
    shown = "–".join(str(n) for n in {repeats[0], repeats[-1]}) if repeats else "1"
    models = sorted({str(r["params"].get("model")) for r in data["settings"]} - {"None"})
    lines = [
        f"{run['name']}: {', '.join(models) or 'imported'} · {run['prompts']} prompts × "
        f"{run['settings']} settings × {shown} repeats · {run['records']} records"
    ]
    if run["status"] not in ("complete", "imported"):
        planned = run["planned"]
        lines.append(f"{run['status']}: {run['records']} of {planned} planned trials recorded")
    return [*lines, ""]


def findings(data: Row) -> list[str]:
    """One sentence a question, then the differences that are real, and what limits all that."""
    story = tell(data)
    lines = [f"{a.question}: {a.who}{_figure(a.figure)}. {a.text}" for a in story.answers]
    lines += ["", *_differences(data, story)]
    verdicts = [effect["sentence"] for effect in data["effects"]]
    if verdicts:
        lines += ["", "Was it honoured?", *(f"  {sentence}" for sentence in verdicts)]
    if data["judges"]:
        lines += ["", "Judges"]
        lines += [f"  {line}" for facts in data["judges"] for line in judge_lines(facts)]
    if story.caveats:
        lines += ["", "Before you rely on this", *(f"  {c.text}" for c in story.caveats)]
    return [*lines, ""]


def _figure(figure: str) -> str:
    return "" if figure in ("", DASH) else f", {figure}"


def _differences(data: Row, story: Story) -> list[str]:
    """Say which settings really differ, or that none was seen to."""
    if not story.real and not story.undetected:
        return []
    texts = [*(d.text for d in story.real), *story.slopes]
    lines = ["Which settings really differ?"]
    if not texts:
        lines.append("  No difference was detected at this size; that does not mean equal.")
    lines += [f"  {text}" for text in texts[:_MOST_DIFFERENCES]]
    shown = min(len(texts), _MOST_DIFFERENCES)
    rest = len(texts) - shown + len(story.undetected)
    if rest:
        noun = "comparison" if rest == 1 else "comparisons"
        axis = data["comparisons"][0]["by"]
        lines.append(f"  {rest} more {noun}: evalharness compare {data['run']['name']} --by {axis}")
    return lines


def footnotes(data: Row) -> list[str]:
    """How to read the columns."""
    rows: list[Row] = data["settings"]
    n = max((r["agreement"]["raw"]["n"] or 0) for r in rows)
    lines = [
        "",
        "same text: chance that two repeats of a prompt give the identical text (pairwise, mean "
        "over prompts)",
        f"all N same: share of prompts whose {n} repeats are all identical (TARr@{n})",
    ]
    if any(_part(r, "score").get("mean") is not None for r in rows):
        name = printable(data["scorers"][0]["name"])
        lines.append(f"score: {name}, mean over prompts of the mean over their scored repeats")
    lines += [
        f"{one_line(scorer['name'], 60)}: {scorer['scored']} of {scorer['records']} records "
        f"scored; not scored: {one_line(unscored(scorer['unscored']), 400)}"
        for scorer in data["scorers"]
        if scorer["unscored"]
    ]
    if data["run"]["attempts_in_doubt"]:
        lines.append(
            f"{data['run']['attempts_in_doubt']} attempts in doubt (sent, outcome unknown)"
        )
    lines += [printable(note) for note in data["run"]["notes"]]
    return lines
