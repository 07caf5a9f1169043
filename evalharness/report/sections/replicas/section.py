"""The servers behind one name, each for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.replicas import (
    ATTEMPT_COLUMNS,
    RECORD_COLUMNS,
    ReplicaData,
    ReplicaPoint,
    replica_data,
)
from evalharness.report.build.context import BuildContext
from evalharness.report.build.load_points import MeasurementRows
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.replicas.words import (
    HEADING,
    MAX_CONSOLE_ROWS,
    MAX_PAGE_ROWS,
    NOTE,
    replica_lines,
    replica_table,
)
from evalharness.report.sections.run import RUN
from evalharness.report.words.markdown_text import markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.store.folder.load_points_file import read_measurements
from evalharness.store.parts.streaming_read import Snapshot, concat_parts

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType


def _build(context: BuildContext) -> ReplicaData | None:
    run = context.run_data.run
    if not any(p.get("base_urls") for c in run.configs() for p in c.all_providers()):
        return None
    prompts = context.run_data.prompts
    pairs = zip(prompts["prompt_id"].to_pylist(), prompts["cluster"].to_pylist(), strict=True)
    clusters = {str(prompt): str(cluster) for prompt, cluster in pairs if cluster is not None}
    load = context.run_data.load.data
    points = _providers(context) if load is None else _load_points(context)
    return replica_data(points, clusters)


def _load_points(context: BuildContext) -> list[ReplicaPoint]:
    """The load points of the load section, each with its window."""
    run, load = context.run_data.run, context.run_data.load.data
    assert load is not None
    records = MeasurementRows(run.snapshot("records"), RECORD_COLUMNS)
    attempts = MeasurementRows(run.snapshot("attempts"), ATTEMPT_COLUMNS)
    windows: dict[int, tuple[float, float]] = {}
    for measured in read_measurements(run.root):
        begin_s, end_s = measured.begin_s, measured.end_s
        if measured.anchor_ns is not None and begin_s is not None and end_s is not None:
            anchor_s = measured.anchor_ns / 1e9
            windows[measured.number] = (anchor_s + begin_s, anchor_s + end_s)
    return [
        ReplicaPoint(
            records.read(point.measurement),
            attempts.read(point.measurement),
            label=point.label,
            measurement=point.measurement,
            window=windows.get(point.measurement),
        )
        for point in load.points
    ]


def _providers(context: BuildContext) -> list[ReplicaPoint]:
    """Batch evaluation: the settings of each provider together, because they share its servers."""
    settings, run = context.run_data.settings, context.run_data.run
    records = _table(run.snapshot("records"), RECORD_COLUMNS)
    attempts = _table(run.snapshot("attempts"), ATTEMPT_COLUMNS)
    ids: dict[str | None, list[str]] = {}
    pairs = zip(settings["provider"].to_pylist(), settings["setting_id"].to_pylist(), strict=True)
    for provider, setting_id in pairs:
        ids.setdefault(provider, []).append(str(setting_id))
    points = [
        ReplicaPoint(
            _of_settings(records, setting_ids),
            _of_settings(attempts, setting_ids),
            label=provider if len(ids) > 1 else None,
        )
        for provider, setting_ids in ids.items()
    ]
    return [p for p in points if p.attempts["replica"].null_count < len(p.attempts)]


def _table(stored: Snapshot, columns: tuple[str, ...]) -> pa.Table:
    (table,) = concat_parts(stored.parts(columns), rows=None)
    return table


def _of_settings(table: pa.Table, setting_ids: list[str]) -> pa.Table:
    own = set(setting_ids)
    return table.filter([setting_id in own for setting_id in table["setting_id"].to_pylist()])


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    data = report[REPLICAS]
    if data is None:
        return ConsolePart([])
    table = replica_table(data, MAX_CONSOLE_ROWS)
    items: list[str | RenderableType] = [
        HEADING,
        *(f"  {line}" for line in replica_lines(data)),
        *fit_plain_table(table, width),
    ]
    if table.more:
        items.append(f"  and {table.more} more: evalharness report {report[RUN].name} --json")
    return ConsolePart(items, [NOTE])


def _markdown(report: ReportData) -> list[str]:
    data = report[REPLICAS]
    if data is None:
        return []
    table = replica_table(data, MAX_CONSOLE_ROWS)
    more = [f"and {table.more} more in the HTML report"] if table.more else []
    lines = "\n\n".join(replica_lines(data))
    return [f"**{HEADING}**\n\n{lines}", markdown_table(table.headings, table.rows), *more, NOTE]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    data = context.report[REPLICAS]
    return None if data is None else _View(replica_lines(data), replica_table(data, MAX_PAGE_ROWS))


REPLICAS: Section[ReplicaData | None] = Section(
    "replicas",
    ReplicaData | None,
    _build,
    title="the servers behind one name, each for itself; null where there is one",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="replicas",
        link="Servers",
        heading=HEADING,
        template="{% for line in view.lines %}<p><bdi>{{ line }}</bdi></p>{% endfor %}"
        "{{ m.plain([view.table], run_argument) }}"
        f'<p class="note">{NOTE}</p>',
        view=_view,
    ),
)
