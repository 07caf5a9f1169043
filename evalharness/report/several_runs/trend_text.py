"""A trend as sentences and tables, for the console, Markdown and a page."""

from __future__ import annotations

from collections.abc import Callable

from evalharness.analysis.over_time.run_figures import FIRST_LOGPROB, SAME_TEXT
from evalharness.analysis.over_time.series import TrendPoint, TrendSeries
from evalharness.analysis.stats import MIN_RUNS
from evalharness.report.console.printing import console_for_report, print_line
from evalharness.report.console.table_layout import fit_plain_table
from evalharness.report.several_runs.trend import METRIC_NAMES, RunTrend
from evalharness.report.words.format_numbers import (
    DASH,
    MINUS,
    difference_interval,
    metric_difference,
    metric_value,
    p_value,
)
from evalharness.report.words.plain_table import PlainTable

NOTE = (
    "changed: found by two tests, of runs against each other and of prompts within runs; p counts "
    "every series here and a look after each of 30 runs. No change shown does not mean unchanged."
)


def trend_sentences(trend: RunTrend) -> list[str]:
    """What limits the comparison, then the verdict of each series; changes come first.

    A figure of one run alone has none.
    """
    watched = [series for series in trend.series if len(series.points) > 1]
    ordered = sorted(watched, key=lambda series: series.verdict != "changed")
    return [*trend.remarks, *(_verdict(series, several=_several(trend)) for series in ordered)]


def trend_tables(trend: RunTrend) -> list[PlainTable]:
    """A table a setting: a row a run, a column a metric; one of all where no two runs share any."""
    if all(len(series.points) == 1 for series in trend.series):
        return _table_of_lone_figures(trend)
    tables: list[PlainTable] = []
    for label in dict.fromkeys(series.label for series in trend.series):
        own = [series for series in trend.series if series.label == label]
        points = [{point.run: point for point in series.points} for series in own]
        dates = {point.run: point.date for each in points for point in each.values()}
        rows = [
            [
                run,
                dates[run][:10],
                *(_cell(series, each.get(run)) for series, each in zip(own, points, strict=True)),
            ]
            for run in trend.runs
            if run in dates
        ]
        headings = ["run", "date", *(_heading(series, trend) for series in own)]
        title = label if _several(trend) else ""
        tables.append(PlainTable(title, headings, rows, text_headings=("date",)))
    return tables


def _table_of_lone_figures(trend: RunTrend) -> list[PlainTable]:
    """A row a setting of a run, a column a metric."""
    headings = {series.metric: _heading(series, trend) for series in trend.series}
    figures: dict[tuple[str, str], dict[str, TrendSeries]] = {}
    for series in trend.series:
        figures.setdefault((series.points[0].run, series.label), {})[series.metric] = series
    rows: list[list[str]] = []
    for (run, label), own in sorted(figures.items(), key=lambda item: trend.runs.index(item[0][0])):
        date = next(iter(own.values())).points[0].date[:10]
        cells = [
            DASH if (series := own.get(metric)) is None else _cell(series, series.points[0])
            for metric in headings
        ]
        rows.append([label, run, date, *cells])
    names = ["setting", "run", "date", *headings.values()]
    return [PlainTable("", names, rows, text_headings=("run", "date"))] if rows else []


def print_trend(trend: RunTrend) -> None:
    """Print the verdicts, then the tables, in as many columns as fit."""
    console = console_for_report()
    for sentence in trend_sentences(trend):
        print_line(console, sentence)
    for table in trend_tables(trend):
        console.print()
        if table.title:
            print_line(console, table.title, style="bold")
        for part in fit_plain_table(table, console.width):
            console.print(part)
    console.print()
    print_line(console, NOTE, style="dim")


def _several(trend: RunTrend) -> bool:
    return len({series.label for series in trend.series}) > 1


def _heading(series: TrendSeries, trend: RunTrend) -> str:
    name = METRIC_NAMES[series.metric].replace(" within a run", "\nwithin a run")
    if series.metric == SAME_TEXT:
        name = f"same text as\n{trend.reference[:24]}"
    if series.metric == FIRST_LOGPROB:
        name = f"log-prob. of\nfirst token of\n{trend.reference[:24]}"
    return f"{name}{' *' if series.verdict == 'changed' else ''}"


def _cell(series: TrendSeries, point: TrendPoint | None) -> str:
    if point is None:
        return DASH
    show = _format(series.metric)
    is_new = series.verdict == "changed" and series.change is not None
    mark = " *" if is_new and series.change and series.change.run == point.run else ""
    ends = "" if point.ci95 is None else f" [{show(point.ci95[0])}, {show(point.ci95[1])}]"
    return f"{show(point.value)}{ends}{mark}"


def _format(metric: str) -> Callable[[float | None], str]:
    if metric == FIRST_LOGPROB:
        return lambda value: DASH if value is None else f"{value:.3f}".replace("-", MINUS)
    return lambda value: metric_value(_like(metric), value)


def _verdict(series: TrendSeries, *, several: bool) -> str:
    name = METRIC_NAMES[series.metric]
    name = f"{series.label}: {name}" if several else name[0].upper() + name[1:]
    if series.verdict == "too few runs":
        return f"{name}: {len(series.points)} runs are too few for a verdict ({MIN_RUNS} needed)."
    change = series.change
    if change is None:
        return f"{name}: too few prompts have values in two runs for a verdict."
    p = p_value(series.p_adjusted)
    if series.verdict == "no change shown":
        return f"{name}: no change shown over {len(series.points)} runs ({p})."
    show, like = _format(series.metric), _like(series.metric)
    ends = difference_interval(like, change.ci95) if change.ci95 is not None else ""
    difference = metric_difference(like, change.difference)
    return (
        f"{name}: changed from {change.run} ({change.date[:10]}) on, {show(change.before)} → "
        f"{show(change.after)}, {difference} {ends}".rstrip()
        + f" ({p}; {change.prompts:,} prompts)."
    )


def _like(metric: str) -> str:
    """A metric of comparisons that is written in the same way."""
    return {SAME_TEXT: "agreement", FIRST_LOGPROB: "completion_tokens"}.get(metric, metric)
