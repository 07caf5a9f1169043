"""The form of a report section: its data, how it is built, and how each output form shows it.

A section is one module in ``sections/`` and one line in ``registry.py``. Console, Markdown, page
and JSON go through the registry in its order; none of them names a section, but for the frame of
the page, which shows the run's facts and draws a setting alike in every part.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from evalharness.report.build.context import BuildContext
from evalharness.report.html.charts.chart_parts import Chart
from evalharness.report.html.series import Series

if TYPE_CHECKING:
    from rich.console import RenderableType

T = TypeVar("T")


class ReportData:
    """The data of ``report --json``, by section.

    Args:
        sections: the data of each section, by its key.
        location: what commands take for the run: its name under ``results/``, else its URL or
            path, several for a report of several runs; None takes the name. It is not in the JSON,
            which is the same wherever the run is.
    """

    def __init__(
        self, sections: Mapping[str, Any], *, location: str | Sequence[str] | None = None
    ) -> None:
        self._sections = dict(sections)
        self._location = location

    @property
    def run_argument(self) -> str:
        """The run as it is typed after a command, quoted for a shell."""
        location = self._location or self._sections["run"].name
        return shlex.quote(location) if isinstance(location, str) else shlex.join(location)

    def __getitem__(self, section: Section[T]) -> T:
        """The data of a section.

        Raises:
            KeyError: the section has no data, or is not in this report.
        """
        data: T = self._sections[section.key]
        return data

    def to_json_values(self) -> dict[str, Any]:
        """Plain values as JSON has them; decimals stay decimals."""
        values: dict[str, Any] = msgspec.to_builtins(self._sections, builtin_types=(Decimal,))
        return values


class ConsolePart(NamedTuple):
    """What a section shows on a terminal.

    Attributes:
        items: lines, which are wrapped, and tables, which are printed as they are. Sections and
            tables are set apart by an empty line, which is no item.
        footnotes: dim lines after all sections: how to read the columns.
    """

    items: Sequence[str | RenderableType]
    footnotes: Sequence[str] = ()


class PageContext(NamedTuple):
    """What the parts of a page are made from.

    Attributes:
        report: the report.
        series: how settings are drawn, by setting id; those missing are left out of line plots.
        left_out: how many are missing.
    """

    report: ReportData
    series: Mapping[str, Series]
    left_out: int


class PagePart(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the page; it is left out where it has neither a view nor a chart.

    Attributes:
        anchor: the id of its element, and of its link.
        link: its name among the links at the top.
        heading: of the section; None has none.
        template: Jinja source of its content. It reads ``view``, ``charts`` (each with its
            drawing, for the macro ``m.figures``), ``series``, ``left_out``, ``run_argument`` (the
            run as commands take it) and the macros ``m``.
        view: what the template shows; None is nothing.
        charts: the plots.
    """

    anchor: str
    link: str
    heading: str | None
    template: str
    view: Callable[[PageContext], Any] = lambda _: None
    charts: Callable[[PageContext], list[Chart]] = lambda _: []


class Section(Generic[T]):
    """A section of a report.

    Args:
        key: of its data in the JSON, or a name where it has no data of its own.
        type: of its data; None where it only shows the data of other sections.
        build: computes the data.
        stage: ``light`` ones are built last, in this process; of the others those of ``fork`` are
            built beside those of ``process`` where there are many records. A section that reads
            another one has the stage of that one, or is light, and comes after it.
        task: sections of the same task are built by the same process, so that they can share what
            they compute in ``context.shared``; by default each is a task of its own.
        console: what a terminal of a width in columns shows.
        markdown: blocks of Markdown.
        page: the part of the page.
        title: what the section holds, in a few words, for the page about the JSON.
    """

    def __init__(
        self,
        key: str,
        type: Any = None,  # noqa: A002 — the data's type, as msgspec names it
        build: Callable[[BuildContext], T] | None = None,
        *,
        stage: Literal["light", "process", "fork"] = "light",
        task: str | None = None,
        console: Callable[[ReportData, int], ConsolePart] | None = None,
        markdown: Callable[[ReportData], list[str]] | None = None,
        page: PagePart | None = None,
        title: str = "",
    ) -> None:
        self.key = key
        self.type = type
        self.build = build
        self.stage = stage
        self.task = task or key
        self.console = console
        self.markdown = markdown
        self.page = page
        self.title = title

    def of(self, context: BuildContext) -> T:
        """The data of this section, built before the one that reads it."""
        data: T = context.sections[self.key]
        return data
