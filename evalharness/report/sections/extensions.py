"""What other packages add to a report, by the entry points ``evalharness.report_sections``.

Each is a function ``section(report, run)``: the JSON of all other sections, and the folder of the
run. It returns a :class:`~evalharness.plugins.SectionContent`, or None for nothing to show.
Whatever it does wrong is a line of the report, never the end of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from evalharness.plugins import Cell, Plugin, PluginError, SectionContent, installed_plugins
from evalharness.plugins.entry_points import describe_error
from evalharness.report.build.context import BuildContext
from evalharness.report.section import ConsolePart, PageContext, PagePart, ReportData, Section
from evalharness.report.words.format_numbers import DASH
from evalharness.report.words.markdown_text import bullet_list, escape_text, markdown_table
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

SectionFunction = Callable[[dict[str, Any], Path], SectionContent | None]
_MAX_LINE = 500  # characters
_MAX_CELL = 80


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """A section that another package adds.

    Attributes:
        name: of the plugin.
        origin: the package with its version.
        heading: of the section.
        lines: its sentences.
        columns: headings of its table; empty without one.
        rows: cells of its table; null is unknown.
        problem: why there is nothing of it; null where there is.
    """

    name: str
    origin: str
    heading: str
    lines: list[str] = []
    columns: list[str] = []
    rows: list[list[Cell]] = []
    problem: str | None = None


def import_section(plugin: Plugin) -> SectionFunction:
    """The function of a plugin.

    Raises:
        PluginError: it cannot be imported, or is no function.
    """
    value = plugin.import_value()
    if not callable(value):
        raise plugin.problem(f"must be a function, got {value!r:.80}")
    return cast("SectionFunction", value)


def _build(context: BuildContext) -> list[Extension]:
    plugins = installed_plugins("report_sections")
    if not plugins:
        return []
    root = context.run_data.run.root
    # Each gets values of its own, so that none changes what another one reads.
    built = (_extension(p, ReportData(context.sections).to_json_values(), root) for p in plugins)
    return [extension for extension in built if extension is not None]


def _extension(plugin: Plugin, report: dict[str, Any], root: Path) -> Extension | None:
    try:
        content = import_section(plugin)(report, root)
        return None if content is None else _checked(plugin, content)
    except PluginError as error:
        problem = error.message
    except (Exception, SystemExit) as error:
        problem = plugin.problem(f"failed: {describe_error(error)}").message
    return Extension(name=plugin.name, origin=plugin.origin, heading=plugin.name, problem=problem)


def _checked(plugin: Plugin, content: SectionContent) -> Extension:
    """What a function returned, with the types that it should have.

    Raises:
        PluginError: it has others.
    """
    if not isinstance(content, SectionContent):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise plugin.problem(f"must return a SectionContent or None, got {content!r:.80}")
    values = {
        "name": plugin.name,
        "origin": plugin.origin,
        "heading": plugin.name if content.heading is None else content.heading,
        "lines": content.lines,
        "columns": content.columns,
        "rows": [[_cell(cell) for cell in row] for row in content.rows],
    }
    try:
        extension = msgspec.convert(values, Extension, strict=True)
    except msgspec.ValidationError as error:
        raise plugin.problem(f"returned something else: {error}") from None
    wrong = [len(row) for row in extension.rows if len(row) != len(extension.columns)]
    if wrong:
        raise plugin.problem(
            f"a row has {wrong[0]} cells, and there are {len(extension.columns)} columns"
        )
    return extension


def _cell(value: Any) -> Any:
    """A number of numpy as a number; one that is not finite is unknown."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ── shown ────────────────────────────────────────────────────────────────────────────────────────


def _table(extension: Extension) -> PlainTable | None:
    """Its table as texts."""
    if not extension.rows:
        return None
    rows = [[_text(cell) for cell in row] for row in extension.rows]
    return PlainTable("", [one_line(name, _MAX_CELL) for name in extension.columns], rows)


def _text(cell: Cell) -> str:
    if cell is None:
        return DASH
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,.4g}" if isinstance(cell, float) else one_line(str(cell), _MAX_CELL)


def _lines(extension: Extension) -> list[str]:
    lines = [extension.problem] if extension.problem is not None else extension.lines
    return [one_line(line, _MAX_LINE) for line in lines]


def _title(extension: Extension) -> str:
    return one_line(f"{extension.heading} ({extension.origin})", _MAX_LINE)


def _console(report: ReportData, width: int) -> ConsolePart:
    from evalharness.report.console.table_layout import fit_plain_table

    items: list[str | RenderableType] = []
    for extension in report[EXTENSIONS]:
        items += [_title(extension), *(f"  {line}" for line in _lines(extension))]
        table = _table(extension)
        if table is not None:
            items += fit_plain_table(table, width)
    return ConsolePart(items)


def _markdown(report: ReportData) -> list[str]:
    blocks: list[str] = []
    for extension in report[EXTENSIONS]:
        blocks.append(f"**{escape_text(_title(extension))}**")
        blocks.append(bullet_list(_lines(extension)))
        table = _table(extension)
        if table is not None:
            blocks.append(markdown_table(table.headings, table.rows))
    return blocks


class ExtensionView(msgspec.Struct, frozen=True):
    """What the page shows of one: its heading, lines and table."""

    title: str
    lines: list[str]
    table: PlainTable | None


def _view(context: PageContext) -> list[ExtensionView] | None:
    extensions = context.report[EXTENSIONS]
    return [ExtensionView(_title(e), _lines(e), _table(e)) for e in extensions] or None


_TEMPLATE = """\
{% for e in view %}<h3><bdi>{{ e.title }}</bdi></h3>
{% if e.lines %}<ul class="plain">{% for line in e.lines %}<li><bdi>{{ line }}</bdi></li>{% endfor %}</ul>{% endif %}
{% if e.table %}<div class="scroll" tabindex="0"><table class="text">
<thead><tr>{% for heading in e.table.headings %}<th{% if not loop.first %} class="number"{% endif %}>{{ heading }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in e.table.rows %}<tr>{% for cell in row %}<td{% if not loop.first %} class="number"{% endif %}><bdi>{{ cell }}</bdi></td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>{% endif %}
{% endfor %}
"""  # noqa: E501 — a row is one line of the page

EXTENSIONS: Section[list[Extension]] = Section(
    "extensions",
    list[Extension],
    _build,
    title="sections that other installed packages add (`evalharness plugins`)",
    console=_console,
    markdown=_markdown,
    page=PagePart(
        anchor="extensions",
        link="Extensions",
        heading="From other packages",
        template=_TEMPLATE,
        view=_view,
    ),
)
