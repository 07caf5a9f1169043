"""The report as Markdown, for a pull request or the summary of a CI job.

It has figures and names, but no texts of models. Names that come from outside are escaped, so that
they start no markup, mention nobody and link nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from evalharness.process.text import plural
from evalharness.report.html.table import Cell, SettingsTable, settings_table
from evalharness.report.summary_text import Difference, SummaryText, summary_text
from evalharness.report.words.format_numbers import DASH, percent
from evalharness.report.words.judge_text import judge_lines
from evalharness.report.words.load_text import load_view
from evalharness.report.words.money_tables import PlainTable, money_tables
from evalharness.report.words.money_text import money_lines
from evalharness.report.words.sanitize import one_line

Row = dict[str, Any]

# Emphasis, code, links, tables, issue references, mathematics; and what begins a block.
_SPECIAL = re.compile(r"([\\`*_\[#|~$])")
_BLOCK = re.compile(r"^(?:[>=]|[-+](?=\s|$)|\d+[.)](?=\s|$))")
_FACTS = {"Records": "{} records", "Started": "started {}", "Sending took": "sending took {}",
          "Cost": "cost {}"}  # fmt: skip
_MAX_ITEMS = 10
_MAX_LOAD_ROWS = 40  # rows of a table of load points
_MAX_PROMPTS = 5
# The columns of the summary; the HTML and the JSON have all.
_COLUMNS = {
    ("Trials", "n"), ("Trials", "ok"), ("Trials", "cut"), ("Trials", "errors"),
    ("Repeatability", "same text"), ("Repeatability", "same answer"), ("Score", "mean"),
    ("Latency", "p50"), ("Latency", "p95"), ("Cost", "per 1,000"),
}  # fmt: skip
_HEADINGS = {
    ("Trials", "n"): "trials", ("Score", "mean"): "score",
    ("Cost", "per 1,000"): "USD / 1,000",
}  # fmt: skip


def as_markdown(data: Row) -> str:
    """The report of one run as GitHub-flavoured Markdown; ``data`` is that of ``report --json``."""
    summary = summary_text(data)
    parts = [
        f"## {escape_text(summary.title)}",
        " · ".join(
            _FACTS.get(name, "{}").format(escape_text(value)) for name, value in summary.facts
        ),
        *_caveats(summary),
        _answers(summary),
        *_load(data),
        _settings(settings_table(data), data["scorers"]),
        *_differences("Real differences", summary.real),
        *_slopes(summary),
        *_differences("Not detected at this size", summary.undetected),
        *_judges(data),
        *_unstable(data),
        *_money(data),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape_text(text: str, width: int = 500) -> str:
    """Escape a text to one line that Markdown shows literally."""
    flat = _SPECIAL.sub(r"\\\1", one_line(text, width))
    flat = _BLOCK.sub(lambda match: f"\u200b{match[0]}", flat)
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return flat.replace("://", "&#58;//").replace("www.", "www&#46;").replace("\u200b", "&#8203;")


def _caveats(summary: SummaryText) -> list[str]:
    if not summary.caveats:
        return []
    lines = [f"> - {escape_text(caveat.text)}" for caveat in summary.caveats[:_MAX_ITEMS]]
    return ["\n".join(["> **Before you rely on this**", ">", *lines])]


def _answers(summary: SummaryText) -> str:
    lines = [
        f"- **{answer.question}: {escape_text(answer.who)}**"
        + (f", {escape_text(answer.figure)}" if answer.figure != DASH else "")
        + f". {escape_text(answer.text)}"
        for answer in summary.answers
    ]
    return "\n".join(lines)


def _settings(table: SettingsTable, scorers: list[Row]) -> str:
    others = {("Score", scorer["name"]) for scorer in scorers[1:]}
    columns = [
        (i, column)
        for i, column in enumerate(table.columns)
        if (column.group, column.heading) in _COLUMNS or (column.group, column.heading) in others
    ]
    headings = [_HEADINGS.get((c.group, c.heading), escape_text(c.heading, 24)) for _, c in columns]
    lines = [
        "| setting | " + " | ".join(headings) + " |",
        "|---|" + "---:|" * len(headings),
    ]
    for row, cells in table.rows:
        shown = " | ".join(_cell(cells[i]) for i, _ in columns)
        lines.append(f"| {escape_text(row['label'], 80)} | {shown} |")
    if table.marks:
        lines += ["", "Bold: the best, and what cannot be told from it."]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = f"**{escape_text(cell.text)}**" if cell.leading else escape_text(cell.text)
    return f"{text} {escape_text(cell.detail)}".strip()


def _differences(heading: str, differences: list[Difference]) -> list[str]:
    if not differences:
        return []
    lines = [f"- {escape_text(difference.text)}" for difference in differences[:_MAX_ITEMS]]
    if len(differences) > _MAX_ITEMS:
        lines.append(f"- and {len(differences) - _MAX_ITEMS} more in the HTML report")
    return [f"**{heading}** (95 % intervals, paired by prompt)\n\n" + "\n".join(lines)]


def _money(data: Row) -> list[str]:
    lines = money_lines(data)
    tables = money_tables(data, brief=True, max_rows=_MAX_ITEMS)
    if not lines and not tables:
        return []
    listed = "\n".join(f"- {escape_text(line)}" for line in lines)
    return ["**Money**", *([listed] if lines else []), *(_money_table(table) for table in tables)]


def _money_table(table: PlainTable) -> str:
    text = _table(table.headings, table.rows)
    return text + (f"\n\nand {table.more} more in the HTML report" if table.more else "")


def _load(data: Row) -> list[str]:
    """Load points as two tables, of rates and of times; none in batch evaluation."""
    view = load_view(data["load"])
    if view is None:
        return []
    tables = [_table(table.headings, table.rows[:_MAX_LOAD_ROWS]) for table in view.tables]
    more = max(len(table.rows) for table in view.tables) > _MAX_LOAD_ROWS
    rest = ["more in the HTML report"] if more else []
    listed = ["\n".join(f"- {escape_text(line)}" for line in view.lines)] if view.lines else []
    return ["**Load**", *tables, *rest, *listed, escape_text(view.note)]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        f"| {' | '.join(escape_text(heading.replace(chr(10), ' ')) for heading in headings)} |",
        "|---|" + "---:|" * (len(headings) - 1),
        *(f"| {' | '.join(escape_text(cell, 80) for cell in row)} |" for row in rows),
    ]
    return "\n".join(lines)


def _judges(data: Row) -> list[str]:
    lines = [
        f"- {escape_text(line.strip())}" for facts in data["judges"] for line in judge_lines(facts)
    ]
    return ["**Judges**\n\n" + "\n".join(lines)] if lines else []


def _slopes(summary: SummaryText) -> list[str]:
    if not summary.slopes:
        return []
    lines = [f"- {escape_text(text)}" for text in summary.slopes[:_MAX_ITEMS]]
    if len(summary.slopes) > _MAX_ITEMS:
        lines.append(f"- and {len(summary.slopes) - _MAX_ITEMS} more in the HTML report")
    return ["**Trends along an axis** (95 % intervals)\n\n" + "\n".join(lines)]


def _unstable(data: Row) -> list[str]:
    rows = data["unstable_prompts"][:_MAX_PROMPTS]
    if not rows:
        return []
    lines = [
        f"- {escape_text(row['prompt_id'], 80)}: {plural(row['distinct'], 'different output')}, "
        f"{percent(row['worst'][0]['agreement'])} same text under "
        f"{escape_text(row['worst'][0]['label'], 80)}"
        for row in rows
    ]
    return ["**Least stable prompts**\n\n" + "\n".join(lines)]
