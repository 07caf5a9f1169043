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

from evalharness.report.build.judges import judge_lines
from evalharness.report.build.provenance import concurrency_lines
from evalharness.report.build.scoring import unscored
from evalharness.report.console.fitted_tables import Column, fitting
from evalharness.report.words.answers import Answer
from evalharness.report.words.format_numbers import dollars
from evalharness.report.words.load_text import FOOTNOTE, load_lines, load_tables
from evalharness.report.words.money_text import money_lines, money_tables
from evalharness.report.words.sanitize import one_line, printable
from evalharness.report.words.summary_text import Story, facts, tell
from evalharness.report.words.verdicts import together

DASH = "—"
_MOST_DIFFERENCES = 6
_MOST_MONEY_ROWS = 8  # of each table; the JSON has all
_SESSIONS = 3  # newest ones whose concurrency is told; the JSON has more
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
    return f"{amount:.2f}" if amount >= 1 else dollars(amount).removeprefix("$")


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


def _latency(rows: list[Row]) -> Field:
    """Median and 95th percentile, in milliseconds where all are below a second."""
    known = [v for r in rows for key in ("p50", "p95") if (v := _part(r, "latency_s").get(key))]
    unit, scale = ("ms", 1000.0) if known and max(known) < 1 else ("s", 1.0)

    def fill(row: Row) -> str:
        found = [_part(row, "latency_s").get(key) for key in ("p50", "p95")]
        return "/".join(seconds(None if v is None else scale * v) for v in found)

    return Field(f"latency {unit}\np50/p95", fill)


_TRIALS = Field("trials", lambda r: str(r["trials"]))


def _fields(rows: list[Row]) -> list[Field]:
    fields = [
        *([] if len({r["trials"] for r in rows}) == 1 else [_TRIALS]),
        Field("ok %", lambda r: percent(r["status_share"]["ok"])),
        *_mishaps(rows),
        Field("same text\n[95% CI]", lambda r: _with_interval(r["agreement"]["raw"], "pairwise")),
        Field("all N\nsame", lambda r: percent(r["agreement"]["raw"].get("tar_at_n"))),
    ]
    if any(_part(r["agreement"], "answer").get("pairwise") is not None for r in rows):
        fields.append(
            Field("same\nanswer", lambda r: percent(r["agreement"]["answer"].get("pairwise")))
        )
    # A column of zeros tells nothing; the answer to "Cheapest" says that all is free.
    free = all(_part(r, "cost_usd").get("total") == 0 for r in rows)
    return [
        *fields,
        Field("score\n[95% CI]", lambda r: _with_interval(r.get("score"), "mean")),
        _latency(rows),
        Field("tokens\nin/out", _tokens),
        *([] if free else [Field("cost $", lambda r: money(_part(r, "cost_usd").get("total")))]),
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
    """The settings, the ``settings`` of the JSON, as tables no wider than ``width`` characters."""
    fields = [Column(f.heading, [f.fill(row) for row in rows]) for f in _fields(rows)]
    return fitting(Column("setting", [row["label"] for row in rows]), fields, width)


def scores_tables(data: Row, width: int) -> list[Table]:
    """One column a scorer: the table of settings has room for the first alone."""
    rows: list[Row] = data["settings"]
    first, *others = (scorer["name"] for scorer in data["scorers"])
    scores = {first: [row["score"] for row in rows]}
    scores |= {name: [row["scores"].get(name) for row in rows] for name in others}
    columns = [
        Column(f"{one_line(name, 24)}\n[95% CI]", [_with_interval(part, "mean") for part in parts])
        for name, parts in scores.items()
    ]
    return fitting(Column("mean score by scorer", [row["label"] for row in rows]), columns, width)


def print_report(data: Row, console: Console | None = None) -> None:
    """Print what a person needs: what ran, the answers, what limits them, the table."""
    console = console or console_for_report()
    rows: list[Row] = data["settings"]
    for line in heading(data):
        say(console, line)
    for line in findings(data):
        say(console, line)
    tables = settings_tables(rows, console.width)
    tables += scores_tables(data, console.width) if len(data["scorers"]) > 1 else []
    for place, table in enumerate(tables):
        if place:
            console.print()
        console.print(table)
    _print_load(data["load"], console)
    _print_money(data, console)
    for line in footnotes(data):
        say(console, line, style="dim")


def say(console: Console, line: str, style: str = "") -> None:
    """A line, wrapped where the console ends; what goes on below is indented a little more."""
    bare = printable(line).lstrip(" ")
    indent = len(line) - len(line.lstrip(" "))
    wrapped = Text(bare, style=style).wrap(console, max(20, console.width - indent - 2))
    for place, piece in enumerate(wrapped):
        piece.rstrip()
        console.print(Text(" " * (indent + 2 * (place > 0))) + piece, soft_wrap=True)


def _print_money(data: Row, console: Console) -> None:
    """What it cost and bought: sentences, then tables by setting, model, tag and prompt."""
    lines = money_lines(data)
    tables = money_tables(data, brief=True, most=_MOST_MONEY_ROWS)
    if lines or tables:
        console.print(Text("\nMoney"))
    for line in lines:
        say(console, f"  {line}")
    name = data["run"]["name"]
    for found in tables:
        cells = list(zip(*found.rows, strict=True))
        names, *columns = map(Column, found.headings, cells)
        for table in fitting(names, columns, console.width):
            console.print()
            console.print(table)
        if found.more:
            console.print(Text(f"  and {found.more} more: evalharness report {name} --json"))


def _print_load(data: Row | None, console: Console) -> None:
    if data is None:
        return
    for table in load_tables(data):
        console.print()
        console.print(table)
    for line in load_lines(data):
        console.print(Text(printable(line)), soft_wrap=True)
    console.print(Text(FOOTNOTE, style="dim"), soft_wrap=True)


def console_for_report() -> Console:
    """A console as wide as the terminal; 100 columns where there is none to ask."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100
    return Console(highlight=False, width=width)


def heading(data: Row) -> list[str]:
    """What was run, in a line."""
    run = data["run"]
    told = dict(facts(data))
    return [f"{run['name']}: {told['Model']} · {told['Size']} · {told['Records']} records", ""]


def _in_a_line(answer: Answer) -> str:
    """``Most repeatable: T=0, 100 % [76, 100]. …``; without a figure where there is none."""
    figure = "" if answer.figure == DASH else f", {answer.figure}"
    return f"{answer.question}: {answer.who}{figure}. {answer.text}"


def findings(data: Row) -> list[str]:
    """One sentence a question, then the differences that are real, and what limits all that."""
    story = tell(data)
    lines = [_in_a_line(answer) for answer in story.answers]
    found = _differences(data, story)
    lines += ["", *found] if found else []
    if data["judges"]:
        lines += ["", "Judges"]
        lines += [f"  {line}" for judge in data["judges"] for line in judge_lines(judge)]
    if story.caveats:
        lines += ["", "Before you rely on this", *(f"  {caveat.text}" for caveat in story.caveats)]
    judged = together(data["effects"])
    told = [e["sentence"] for e in judged if e["verdict"] != "as asked"]
    routine = [e["parameter"] for e in data["effects"] if e["verdict"] == "as asked"]
    told += [f"sent as asked: {', '.join(routine)}"] if routine else []
    if told:
        lines += ["", "Was it honoured?", *(f"  {sentence}" for sentence in told)]
    return [*lines, ""]


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
        axes = dict.fromkeys(row["by"] for row in data["comparisons"])
        asks = [f"evalharness compare {data['run']['name']} --by {axis}" for axis in axes]
        if len(asks) == 1:
            lines.append(f"  {rest} more {noun}: {asks[0]}")
        else:
            lines += [f"  {rest} more {noun}:", *(f"    {ask}" for ask in asks)]
    return lines


def footnotes(data: Row) -> list[str]:
    """How to read the columns."""
    rows: list[Row] = data["settings"]
    n = max((r["agreement"]["raw"]["n"] or 0) for r in rows)
    lines = [
        "",
        "same text: chance that two repeats of a prompt give the identical text (pairwise, mean "
        "over prompts)",
    ]
    if n > 1:
        lines.append(f"all N same: share of prompts whose {n} repeats are all identical (TARr@{n})")
    if any(_part(r, "score").get("mean") is not None for r in rows):
        name = printable(data["scorers"][0]["name"])
        lines.append(f"score: {name}, mean over prompts of the mean over their scored repeats")
    lines += [
        f"{one_line(scorer['name'], 60)}: {scorer['scored']} of {scorer['records']} records "
        f"scored; not scored: {one_line(unscored(scorer['unscored']), 400)}"
        for scorer in data["scorers"]
        if scorer["unscored"]
    ]
    lines += [
        printable(f"adaptive concurrency, {line}")
        for line in concurrency_lines(data["provenance"]["throttle"])[-_SESSIONS:]
    ]
    return lines
