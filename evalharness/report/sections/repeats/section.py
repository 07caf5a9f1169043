"""How soon the repeats of each setting part, and what their log probabilities say of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalharness.analysis.agreement.repeat_divergence import RepeatDivergence, repeat_divergence
from evalharness.analysis.logprobs.repeat_noise import RepeatNoise, repeat_noise
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.sections.repeats.words import (
    HEADING,
    NOTE,
    divergence_sentence,
    divergence_table,
    noise_sentence,
)
from evalharness.report.words.markdown_text import bullet_list, markdown_table
from evalharness.report.words.plain_table import PlainTable

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_SENTENCES = 3  # settings that get some on a terminal
_MAX_PAGE_ROWS = 200


def _build(context: BuildContext) -> list[RepeatDivergence]:
    return repeat_divergence(context.run_data.frame)


def _build_noise(context: BuildContext) -> list[RepeatNoise]:
    return repeat_noise(context.run_data.frame)


def _lines(report: ReportData) -> list[str]:
    rows, noise = report[REPEAT_DIVERGENCE], report[REPEAT_NOISE]
    if len(rows) > _MAX_SENTENCES:
        return []
    return [*map(divergence_sentence, rows), *map(noise_sentence, noise)]


def _console(report: ReportData, width: int) -> ConsolePart:
    lines = _lines(report)
    if not any(row.parted for row in report[REPEAT_DIVERGENCE]) and not report[REPEAT_NOISE]:
        return ConsolePart([])
    items: list[str | RenderableType] = [HEADING, *(f"  {line}" for line in lines)]
    return ConsolePart(items if lines else [])


def _markdown(report: ReportData) -> list[str]:
    rows = report[REPEAT_DIVERGENCE]
    if not rows:
        return []
    table = divergence_table(rows, report[REPEAT_NOISE])
    lines = _lines(report)
    listed = f"**{HEADING}**" + (f"\n\n{bullet_list(lines)}" if lines else "")
    return [listed, markdown_table(table.headings, table.rows), NOTE]


class _View(NamedTuple):
    lines: list[str]
    table: PlainTable


def _view(context: PageContext) -> _View | None:
    rows, noise = context.report[REPEAT_DIVERGENCE], context.report[REPEAT_NOISE]
    if not rows:
        return None
    return _View(_lines(context.report), divergence_table(rows, noise, _MAX_PAGE_ROWS))


REPEAT_NOISE: Section[list[RepeatNoise]] = Section(
    "repeat_noise",
    list[RepeatNoise],
    _build_noise,
    stage="fork",
    title="how far the log probabilities of repeats are apart, by setting",
)

REPEAT_DIVERGENCE: Section[list[RepeatDivergence]] = Section(
    "repeat_divergence",
    list[RepeatDivergence],
    _build,
    stage="fork",
    title="how soon repeats part, by setting",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="repeats",
        link="Repeats",
        heading=HEADING,
        template='{% if view %}<ul class="plain">{% for line in view.lines %}<li><bdi>{{ line }}'
        "</bdi></li>{% endfor %}</ul>{{ m.plain([view.table], run_argument) }}"
        f'<p class="note">{NOTE}</p>{{% endif %}}',
        view=_view,
    ),
)
