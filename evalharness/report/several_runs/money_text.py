"""The money of several runs as tables, for the console, Markdown and a page."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.report.console.printing import console_for_report, print_line
from evalharness.report.console.table_layout import fit_plain_table
from evalharness.report.several_runs.money import (
    MoneyRow,
    MoneyTogether,
    money_sentences,
)
from evalharness.report.several_runs.price_periods import rates_text
from evalharness.report.words.format_numbers import DASH, count_text, dollars, percent
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

MONEY_NOTE = (
    "US dollars of all records by the price of their day, or as an import or a bill gives them; "
    "settings no longer in a plan are included; "
    "a prompt counts under each of its tags and values. Retries that became no record are in the "
    "report of each run."
)


def money_tables(money: MoneyTogether) -> list[PlainTable]:
    """A table for each kind of split that has something to show, then the prices."""
    tables = [
        _table("by run", money.runs),
        _table("by provider", money.providers),
        _table("by model", money.models),
        _table("by day", money.days),
        _table("by tag", money.tags),
        _table(f"by {money.group_by}", money.fields or []),
    ]
    prices = [
        [
            f"{each.model or '(no model)'}{' in batches' if each.in_batch else ''}",
            f"{each.first_day} to {each.last_day}",
            f"{rates_text(each)}{' (changed)' if each.changed else ''}",
            count_text(each.records),
            dollars(each.total_usd),
        ]
        for each in money.prices
    ]
    headings = ["price of", "days", "price", "records", "cost"]
    tables.append(PlainTable("prices", headings, prices, text_headings=("days", "price")))
    return [table for table in tables if table.rows]


def _table(title: str, rows: Sequence[MoneyRow]) -> PlainTable:
    cells = [
        [
            row.name if row.name is not None else "(none)",
            count_text(row.records),
            count_text(row.records - row.known) if row.records > row.known else DASH,
            dollars(row.total_usd),
            percent(row.share, 1),
        ]
        for row in rows
    ]
    return PlainTable(title, [title, "records", "cost unknown", "cost", "share"], cells)


def print_money(money: MoneyTogether, not_pooled: str | None = None) -> None:
    """Print why the runs are not one report, the total, what changed, and the tables."""
    console = console_for_report()
    for sentence in money_sentences(money, not_pooled):
        print_line(console, sentence)
    for table in money_tables(money):
        console.print()
        for part in fit_plain_table(table, console.width):
            console.print(part)
    console.print()
    print_line(console, MONEY_NOTE, style="dim")


def money_markdown(money: MoneyTogether, not_pooled: str | None = None) -> str:
    """The same for a pull request."""
    tables = [
        markdown_table(table.headings, table.rows, table.text_headings)
        for table in money_tables(money)
    ]
    return (
        "\n\n".join([bullet_list(money_sentences(money, not_pooled)), *tables, MONEY_NOTE]) + "\n"
    )
