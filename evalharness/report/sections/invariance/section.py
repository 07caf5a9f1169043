"""Batch invariance: the texts of requests under load against those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import structs

from evalharness.analysis.invariance.batch_invariance import batch_invariance
from evalharness.analysis.invariance.conditions import condition_groups
from evalharness.analysis.invariance.verdicts import (
    BatchInvariance,
    ConditionDivergence,
    DivergenceShare,
)
from evalharness.report.build.context import BuildContext
from evalharness.report.build.load_data import LoadPoint
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.invariance.sentences import (
    alone_sentence,
    condition_sentence,
    statement,
)
from evalharness.report.sections.invariance.tables import NOTE, invariance_table, tag_table
from evalharness.report.sections.run import RUN
from evalharness.report.words.markdown_text import bullet_list, escape_text, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADING = "Batch invariance"
_FOR_DOCS = "For the documentation of your server:"


def _build(context: BuildContext) -> list[BatchInvariance]:
    load = context.run_data.load.data
    if load is None:
        return []
    frame = context.run_data.frame
    rows = batch_invariance(frame, condition_groups(frame), _tags(context))
    points = {s.setting_id: point for point in load.points for s in point.settings}
    run = RUN.of(context)
    worded = [_with_sentences(row, points) for row in rows]
    return [structs.replace(row, statement=statement(row, run)) for row in worded]


def _with_sentences(row: BatchInvariance, points: dict[str, LoadPoint]) -> BatchInvariance:
    alone = [points[name].measurement for name in row.setting_ids if name in points]
    conditions = [
        _of_point(each, points.get(each.setting_id), alone, row.alone) for each in row.conditions
    ]
    return structs.replace(row, conditions=conditions)


def _of_point(
    row: ConditionDivergence, point: LoadPoint | None, blocks: list[int], alone: DivergenceShare
) -> ConditionDivergence:
    """A condition with what its load point tells; ``blocks`` are the measurements alone."""
    if point is not None:
        row = structs.replace(
            row,
            in_flight_mean=point.concurrency.mean,
            held=point.valid,
            between_blocks=bool(blocks) and min(blocks) < point.measurement < max(blocks),
        )
    return structs.replace(row, sentence=condition_sentence(row, alone))


def _tags(context: BuildContext) -> list[list[str]]:
    """The tags of each prompt of the frame."""
    prompts = context.run_data.prompts
    ids, stored = prompts["prompt_id"].to_pylist(), prompts["tags"].to_pylist()
    by_id: dict[Any, list[str]] = {name: tags or [] for name, tags in zip(ids, stored, strict=True)}
    return [by_id.get(name, []) for name in context.run_data.frame.prompt_ids]


def _lines(row: BatchInvariance) -> list[str]:
    if row.why is not None:
        return [alone_sentence(row)]
    return [alone_sentence(row), *(each.sentence for each in row.conditions)]


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    rows = report[INVARIANCE]
    if not rows:
        return ConsolePart([])
    items: list[str | RenderableType] = [HEADING]
    for row in rows:
        items += [f"  {row.label}:"] if row.label else []
        items += [f"  {line}" for line in _lines(row)]
        items += [f"  {_FOR_DOCS}", f"  {row.statement}"] if row.statement else []
    tables = _tables(rows)
    items += [table for each in tables for table in fit_plain_table(each, width)]
    return ConsolePart(items, [NOTE] if tables else [])


def _tables(rows: list[BatchInvariance]) -> list[PlainTable]:
    table, by_tag = invariance_table(rows), tag_table(rows)
    return [each for each in (table, by_tag) if each is not None and each.rows]


def _markdown(report: ReportData) -> list[str]:
    rows = report[INVARIANCE]
    if not rows:
        return []
    lines = [f"{row.label}: {line}" if row.label else line for row in rows for line in _lines(row)]
    statements = [row.statement for row in rows if row.statement]
    return [
        f"**{HEADING}**\n\n{bullet_list(lines)}",
        *(f"{_FOR_DOCS}\n\n> {escape_text(text, 5_000)}" for text in statements),
        *(
            markdown_table(table.headings, table.rows, text_headings=table.text_headings)
            for table in _tables(rows)
        ),
    ]


class _Group(msgspec.Struct, frozen=True):
    label: str
    lines: list[str]
    statement: str | None


class _View(NamedTuple):
    groups: list[_Group]
    tables: list[PlainTable]


def _view(context: PageContext) -> _View | None:
    rows = context.report[INVARIANCE]
    if not rows:
        return None
    return _View([_Group(r.label, _lines(r), r.statement) for r in rows], _tables(rows))


INVARIANCE: Section[list[BatchInvariance]] = Section(
    "batch_invariance",
    list[BatchInvariance],
    _build,
    title="whether requests at temperature 0 give the same output alone and under load",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="invariance",
        link=HEADING,
        heading=HEADING,
        template="{% if view %}{% for group in view.groups %}{% if group.label %}<h3><bdi>"
        '{{ group.label }}</bdi></h3>{% endif %}<ul class="plain">{% for line in group.lines %}'
        "<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>{% if group.statement %}"
        f'<p class="note">{_FOR_DOCS}</p><blockquote><bdi>{{{{ group.statement }}}}</bdi>'
        "</blockquote>{% endif %}{% endfor %}{{ m.plain(view.tables, run_argument) }}"
        f'<p class="note">{NOTE}</p>{{% endif %}}',
        view=_view,
    ),
)
