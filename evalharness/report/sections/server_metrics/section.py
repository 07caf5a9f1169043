"""What servers said of themselves, by load point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalharness.analysis.data import encode
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.server_metrics.known_metrics import KNOWN
from evalharness.analysis.server_metrics.server_figures import (
    Samples,
    ServerFigure,
    Stretch,
    server_figures,
)
from evalharness.process.text import plural
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.format_numbers import DASH
from evalharness.report.words.markdown_text import markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.store.parts.scrape_table import read_server_metrics

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADING = "The server's view"
NOTE = (
    "Means of readings, and of counters their growth per second. Readings follow each other, so "
    "that they have no interval. Waiting: requests that the server has and does not work on."
)
_MAX_ROWS = 60
_WHOLE = "run"


def _build(context: BuildContext) -> list[ServerFigure]:
    data = context.run_data
    table = read_server_metrics(data.run.root)
    if table is None or not table.num_rows:
        return []
    names: dict[str, list[Any]] = table.select(["endpoint", "metric"]).to_pydict()
    samples = Samples(
        encode.to_floats(table["read_at"]),
        names["endpoint"],
        [name or "" for name in names["metric"]],
        encode.to_floats(table["value"]),
    )
    return server_figures(samples, _stretches(context, data.frame))


def _stretches(context: BuildContext, frame: RunFrame) -> list[Stretch]:
    """The load points, or the whole run in batch evaluation: from first sent to last answered."""
    load = context.run_data.load.data
    groups = [(_WHOLE, frozenset(frame.setting_ids))]
    if load is not None:
        groups = [
            (point.label, frozenset(s.setting_id for s in point.settings)) for point in load.points
        ]
    sent, latency = frame.values("sent_at"), np.nan_to_num(frame.values("latency_s"))
    stretches: list[Stretch] = []
    for label, setting_ids in groups:
        chosen = [i for i, name in enumerate(frame.setting_ids) if name in setting_ids]
        rows = np.isin(frame.setting, chosen) & ~np.isnan(sent)
        if rows.any():
            end = float((sent[rows] + latency[rows]).max())
            stretches.append(Stretch(label, float(sent[rows].min()), end))
    return stretches


def server_table(rows: list[ServerFigure]) -> PlainTable:
    """One row a figure, a column a stretch."""
    stretches = list(dict.fromkeys(row.stretch for row in rows))
    by_key = {(row.endpoint, row.figure, row.stretch): row for row in rows}
    keys = list(dict.fromkeys((row.endpoint, row.figure) for row in rows))
    several = len({endpoint for endpoint, _ in keys}) > 1
    cells = [
        [
            f"{endpoint}: {KNOWN[figure].title}" if several else KNOWN[figure].title,
            KNOWN[figure].unit,
            *(_cell(by_key.get((endpoint, figure, stretch))) for stretch in stretches),
        ]
        for endpoint, figure in keys
    ]
    return PlainTable(
        HEADING, ["figure", "unit", *stretches], cells[:_MAX_ROWS], max(0, len(cells) - _MAX_ROWS)
    )


def _cell(row: ServerFigure | None) -> str:
    if row is None or row.mean is None:
        return DASH
    text = _number(row.mean)
    return text if row.largest is None else f"{text} (at most {_number(row.largest)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def server_lines(rows: list[ServerFigure]) -> list[str]:
    """What the readings say of queues, and what is missing."""
    lines: list[str] = []
    waiting = [row for row in rows if row.figure == "waiting" and row.largest is not None]
    queued = [row for row in waiting if row.largest]
    if waiting and not queued:
        count = plural(sum(row.readings for row in waiting), "reading")
        lines.append(f"Nothing waited at the server in {count}.")
    lines += [
        f"{row.stretch}: {_number(row.mean or 0.0)} requests waited at the server on average, "
        f"{_number(row.largest or 0.0)} at most ({plural(row.readings, 'reading')})."
        for row in queued
    ]
    gaps = {(row.endpoint, row.stretch): row.gaps for row in rows if row.gaps}
    if gaps:
        lines.append(f"{plural(sum(gaps.values()), 'reading')} got no answer.")
    return lines


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    rows = report[SERVER_METRICS]
    if not rows:
        return ConsolePart([])
    items: list[str | RenderableType] = [
        HEADING,
        *(f"  {line}" for line in server_lines(rows)),
        *fit_plain_table(server_table(rows), width),
    ]
    return ConsolePart(items, [NOTE])


def _markdown(report: ReportData) -> list[str]:
    rows = report[SERVER_METRICS]
    if not rows:
        return []
    table = server_table(rows)
    lines = "\n\n".join(server_lines(rows))
    return [f"**{HEADING}**\n\n{lines}", markdown_table(table.headings, table.rows), NOTE]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    rows = context.report[SERVER_METRICS]
    return _View(server_lines(rows), server_table(rows)) if rows else None


SERVER_METRICS: Section[list[ServerFigure]] = Section(
    "server_metrics",
    list[ServerFigure],
    _build,
    title="what servers said of themselves, by load point",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="server",
        link="Server",
        heading=HEADING,
        template="{% if view %}{% for line in view.lines %}<p><bdi>{{ line }}</bdi></p>{% endfor %}"
        "{{ m.plain([view.table], run_argument) }}"
        f'<p class="note">{NOTE}</p>{{% endif %}}',
        view=_view,
    ),
)
