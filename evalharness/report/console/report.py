"""The report on a terminal, readable in 100 columns: what ran, the answers, then tables."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from evalharness.report.console.settings_tables import scores_tables, settings_tables
from evalharness.report.console.table_layout import TextColumn, fit_tables
from evalharness.report.summary_text import SummaryText, run_facts, summary_text
from evalharness.report.words.format_numbers import DASH
from evalharness.report.words.headline_answers import HeadlineAnswer
from evalharness.report.words.judge_text import judge_lines
from evalharness.report.words.load_text import FOOTNOTE, load_lines, load_tables
from evalharness.report.words.money_tables import money_tables
from evalharness.report.words.money_text import money_lines
from evalharness.report.words.run_text import concurrency_lines, unscored_text
from evalharness.report.words.sanitize import one_line, printable
from evalharness.report.words.verdicts import merge_verdicts

_MAX_DIFFERENCES = 6
_MAX_MONEY_ROWS = 8  # of each table; the JSON has all rows
_MAX_SESSIONS = 3  # the newest ones, whose concurrency is shown; the JSON has all
Row = dict[str, Any]


def print_report(data: Row, console: Console | None = None) -> None:
    """Print what ran, the answers, the caveats and the tables."""
    console = console or console_for_report()
    rows: list[Row] = data["settings"]
    for line in heading_lines(data):
        print_line(console, line)
    for line in finding_lines(data):
        print_line(console, line)
    tables = settings_tables(rows, console.width)
    tables += scores_tables(data, console.width) if len(data["scorers"]) > 1 else []
    for index, table in enumerate(tables):
        if index:
            console.print()
        console.print(table)
    _print_load(data["load"], console)
    _print_money(data, console)
    for line in footnote_lines(data):
        print_line(console, line, style="dim")


def print_line(console: Console, line: str, style: str = "") -> None:
    """Print a line wrapped to the console; continuation lines are indented by two more."""
    bare = printable(line).lstrip(" ")
    indent = len(line) - len(line.lstrip(" "))
    wrapped = Text(bare, style=style).wrap(console, max(20, console.width - indent - 2))
    for index, piece in enumerate(wrapped):
        piece.rstrip()
        console.print(Text(" " * (indent + 2 * (index > 0))) + piece, soft_wrap=True)


def _print_money(data: Row, console: Console) -> None:
    """Print the costs: sentences, then tables by setting, model, tag and prompt."""
    lines = money_lines(data)
    tables = money_tables(data, brief=True, max_rows=_MAX_MONEY_ROWS)
    if lines or tables:
        console.print(Text("\nMoney"))
    for line in lines:
        print_line(console, f"  {line}")
    name = data["run"]["name"]
    for table in tables:
        cells = list(zip(*table.rows, strict=True))
        names, *columns = map(TextColumn, table.headings, cells)
        for fitted in fit_tables(names, columns, console.width):
            console.print()
            console.print(fitted)
        if table.more:
            console.print(Text(f"  and {table.more} more: evalharness report {name} --json"))


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
    """A console as wide as the terminal; 100 columns where stdout is no terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100
    return Console(highlight=False, width=width)


def heading_lines(data: Row) -> list[str]:
    """What was run, in one line."""
    run = data["run"]
    facts = dict(run_facts(data))
    return [f"{run['name']}: {facts['Model']} · {facts['Size']} · {facts['Records']} records", ""]


def _answer_line(answer: HeadlineAnswer) -> str:
    """``Most repeatable: T=0, 100 % [76, 100]. …``; without a figure where there is none."""
    figure = "" if answer.figure == DASH else f", {answer.figure}"
    return f"{answer.question}: {answer.who}{figure}. {answer.text}"


def finding_lines(data: Row) -> list[str]:
    """The headline answers, the real differences, judges, caveats and verdicts on parameters."""
    summary = summary_text(data)
    lines = [_answer_line(answer) for answer in summary.answers]
    differences = _differences(data, summary)
    lines += ["", *differences] if differences else []
    if data["judges"]:
        lines += ["", "Judges"]
        lines += [f"  {line}" for judge in data["judges"] for line in judge_lines(judge)]
    if summary.caveats:
        lines += [
            "",
            "Before you rely on this",
            *(f"  {caveat.text}" for caveat in summary.caveats),
        ]
    verdicts = merge_verdicts(data["effects"])
    sentences = [e["sentence"] for e in verdicts if e["verdict"] != "as asked"]
    routine = [e["parameter"] for e in data["effects"] if e["verdict"] == "as asked"]
    sentences += [f"sent as asked: {', '.join(routine)}"] if routine else []
    if sentences:
        lines += ["", "Was it honoured?", *(f"  {sentence}" for sentence in sentences)]
    return [*lines, ""]


def _differences(data: Row, summary: SummaryText) -> list[str]:
    """The real differences, or the sentence that none was detected."""
    if not summary.real and not summary.undetected:
        return []
    texts = [*(d.text for d in summary.real), *summary.slopes]
    lines = ["Which settings really differ?"]
    if not texts:
        lines.append("  No difference was detected at this size; that does not mean equal.")
    lines += [f"  {text}" for text in texts[:_MAX_DIFFERENCES]]
    shown = min(len(texts), _MAX_DIFFERENCES)
    rest = len(texts) - shown + len(summary.undetected)
    if rest:
        noun = "comparison" if rest == 1 else "comparisons"
        axes = dict.fromkeys(row["by"] for row in data["comparisons"])
        commands = [f"evalharness compare {data['run']['name']} --by {axis}" for axis in axes]
        if len(commands) == 1:
            lines.append(f"  {rest} more {noun}: {commands[0]}")
        else:
            lines += [f"  {rest} more {noun}:", *(f"    {command}" for command in commands)]
    return lines


def footnote_lines(data: Row) -> list[str]:
    """How to read the columns."""
    rows: list[Row] = data["settings"]
    repeats = max((r["agreement"]["raw"]["n"] or 0) for r in rows)
    lines = [
        "",
        "same text: chance that two repeats of a prompt give the identical text (pairwise, mean "
        "over prompts)",
    ]
    if repeats > 1:
        lines.append(
            f"all N same: share of prompts whose {repeats} repeats are all identical "
            f"(TARr@{repeats})"
        )
    scores: list[Row] = [row.get("score") or {} for row in rows]
    if any(score.get("mean") is not None for score in scores):
        name = printable(data["scorers"][0]["name"])
        lines.append(f"score: {name}, mean over prompts of the mean over their scored repeats")
    lines += [
        f"{one_line(scorer['name'], 60)}: {scorer['scored']} of {scorer['records']} records "
        f"scored; not scored: {one_line(unscored_text(scorer['unscored']), 400)}"
        for scorer in data["scorers"]
        if scorer["unscored"]
    ]
    lines += [
        printable(f"adaptive concurrency, {line}")
        for line in concurrency_lines(data["provenance"]["throttle"])[-_MAX_SESSIONS:]
    ]
    return lines
