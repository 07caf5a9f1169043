"""Conversations by turn: times, prompt tokens and the share of them that the server had cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalharness.analysis.latency import Durations
from evalharness.analysis.turns import SettingTurns, TurnFigures, TurnMean, turn_figures
from evalharness.report.build.context import BuildContext
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.run import RUN
from evalharness.report.sections.turns.charts import turn_charts
from evalharness.report.words.format_numbers import DASH, percent, percentile_interval, seconds
from evalharness.report.words.markdown_text import markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_CONSOLE_ROWS = 30  # the JSON has all
_MAX_PAGE_ROWS = 200
_MAX_LABEL = 40
_NOTE = (
    "turns: answers alone, counted from sending. cached: prompt tokens that the server says it had "
    "cached, of all. Intervals [95 % CI] are over conversations, with all their repeats."
)


def _build(context: BuildContext) -> list[SettingTurns] | None:
    prompts = context.run_data.prompts
    if "turn" not in prompts.column_names:  # of an older run
        return None
    pairs = zip(prompts["prompt_id"].to_pylist(), prompts["turn"].to_pylist(), strict=True)
    turn_of = {str(prompt): int(turn) for prompt, turn in pairs if turn is not None}
    return turn_figures(context.run_data.frame, turn_of) if turn_of else None


def turns_table(settings: list[SettingTurns], max_rows: int) -> PlainTable:
    """A row for each setting and turn; columns that say nothing are left out."""
    several = len(settings) > 1
    rows = [
        _row(f"{one_line(setting.label, _MAX_LABEL)}: turn {turn.turn}" if several
             else f"turn {turn.turn}", turn)
        for setting in settings for turn in setting.turns
    ]  # fmt: skip
    headings = [
        "conversations", "answers", "failed", "TTFT p50\n[95% CI]", "TTFT\np95",
        "latency p50\n[95% CI]", "latency\np95", "prompt tokens\n[95% CI]", "tokens of\nan answer",
        "cached\n[95% CI]",
    ]  # fmt: skip
    shown = [0, *(i for i in range(1, len(headings) + 1) if any(row[i] != DASH for row in rows))]
    names = ["by turn", *headings]
    return PlainTable(
        names[0],
        [names[i] for i in shown],
        [[row[i] for i in shown] for row in rows[:max_rows]],
        max(0, len(rows) - max_rows),
    )


def _row(name: str, turn: TurnFigures) -> list[str]:
    return [
        name,
        f"{turn.conversations:,}",
        f"{turn.answers:,}",
        f"{turn.failed:,}" if turn.failed else DASH,
        _median(turn.ttft_s),
        seconds(turn.ttft_s.p95),
        _median(turn.latency_s),
        seconds(turn.latency_s.p95),
        _tokens(turn.prompt_tokens),
        DASH if turn.completion_tokens.mean is None else f"{turn.completion_tokens.mean:,.0f}",
        _cached(turn.cached_share),
    ]


def _median(durations: Durations) -> str:
    ends = None if durations.ci95 is None else durations.ci95.p50
    return f"{seconds(durations.p50)} {percentile_interval(ends, durations.p50)}".rstrip()


def _tokens(mean: TurnMean) -> str:
    if mean.mean is None:
        return DASH
    ends = mean.ci95
    return f"{mean.mean:,.0f}" + ("" if ends is None else f" [{ends[0]:,.0f}, {ends[1]:,.0f}]")


def _cached(share: TurnMean) -> str:
    if share.mean is None:
        return DASH
    ends = share.ci95
    interval = "" if ends is None else f" [{percent(ends[0])}, {percent(ends[1])}]"
    return percent(share.mean) + interval


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    settings = report[TURNS]
    if settings is None:
        return ConsolePart([])
    table = turns_table(settings, _MAX_CONSOLE_ROWS)
    items: list[str | RenderableType] = [*fit_plain_table(table, width)]
    if table.more:
        items.append(f"  and {table.more} more: evalharness report {report[RUN].name} --json")
    return ConsolePart(items, [_NOTE])


def _markdown(report: ReportData) -> list[str]:
    settings = report[TURNS]
    if settings is None:
        return []
    table = turns_table(settings, _MAX_CONSOLE_ROWS)
    more = [f"and {table.more} more in the HTML report"] if table.more else []
    return [markdown_table(table.headings, table.rows), *more, _NOTE]


def _view(context: PageContext) -> PlainTable | None:
    settings = context.report[TURNS]
    return None if settings is None else turns_table(settings, _MAX_PAGE_ROWS)


def _charts(context: PageContext) -> list[Chart]:
    settings = context.report[TURNS]
    return [] if settings is None else turn_charts(settings, context.series)


TURNS: Section[list[SettingTurns] | None] = Section(
    "turns",
    list[SettingTurns] | None,
    _build,
    stage="fork",
    title="times, prompt tokens and cached tokens of conversations by turn; null without them",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="turns",
        link="Turns",
        heading="Conversations by turn",
        template=f'<p class="note">{_NOTE}</p>'
        "{{ m.plain([view], run_argument) }}{{ m.figures(charts) }}",
        view=_view,
        charts=_charts,
    ),
)
