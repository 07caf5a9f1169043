"""Pages of several runs."""

from __future__ import annotations

from evalharness.process.text import plural
from evalharness.report.html.page import render_page
from evalharness.report.several_runs.money import MoneyTogether, money_sentences
from evalharness.report.several_runs.money_text import MONEY_NOTE, money_tables
from evalharness.report.several_runs.trend import RunTrend
from evalharness.report.several_runs.trend_text import NOTE, trend_sentences, trend_tables


def render_trend(trend: RunTrend) -> str:
    """The page of ``evalharness trend --html``."""
    return render_page(
        "several.html.j2",
        kicker="trend",
        title=f"{plural(len(trend.runs), 'run')}, {trend.runs[0]} to {trend.runs[-1]}",
        sentences=trend_sentences(trend),
        tables=trend_tables(trend),
        note=NOTE,
    )


def render_money(money: MoneyTogether, not_pooled: str | None = None) -> str:
    """The page of ``evalharness report --together --html``."""
    return render_page(
        "several.html.j2",
        kicker="report --together",
        title=f"Money of {plural(len(money.runs), 'run')}",
        sentences=money_sentences(money, not_pooled),
        tables=money_tables(money),
        note=MONEY_NOTE,
    )
