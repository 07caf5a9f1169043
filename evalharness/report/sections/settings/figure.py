"""A figure of a setting: its value, how it is written, and where it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from evalharness.analysis.summary import SettingSummary
from evalharness.report.sections.settings.number_format import NumberFormat
from evalharness.report.words.cost_origin import with_mark
from evalharness.report.words.format_numbers import DASH


class ConsoleColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column on a terminal, of one figure or of several, which are separated by slashes.

    Attributes:
        heading: of one or two lines; ``{unit}`` is the unit of the column, ``{parts}`` the names
            of its figures.
        has_interval: whether the cells have the interval of the value.
        show_if: whether the settings need the column.
        footnote: how to read it; empty where the heading says enough.
    """

    heading: str
    has_interval: bool = False
    show_if: Callable[[Sequence[SettingSummary]], bool] = lambda _: True
    footnote: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a setting: all that the three outputs need to show it.

    Attributes:
        group, heading: on the page; without a heading it is not there.
        help: the figure in a sentence.
        value: reads it from a setting; None is unknown.
        format: how it is written.
        interval: reads ``[low, high]`` of the value.
        detail: further small print on the page.
        mark: a word that belongs to the value, wherever it is shown.
        leaders: the metric whose leading settings are marked; empty marks none.
        show_if: it is left out where this holds for no setting. By default page and Markdown
            leave it out where no setting has a value, and a terminal shows dashes.
        markdown: its heading in Markdown; empty leaves it out there.
        console: its column on a terminal; None leaves it out there.
        console_part: its name within that column.
    """

    group: str = ""
    heading: str = ""
    help: str = ""
    value: Callable[[SettingSummary], float | None]
    format: NumberFormat
    interval: Callable[[SettingSummary], Sequence[float] | None] = lambda _: None
    detail: Callable[[SettingSummary], str] = lambda _: ""
    mark: Callable[[SettingSummary], str] = lambda _: ""
    leaders: str = ""
    show_if: Callable[[SettingSummary], bool] | None = None
    markdown: str = ""
    console: ConsoleColumn | None = None
    console_part: str = ""

    def page_text(self, row: SettingSummary) -> str:
        """Its value on the page and in Markdown."""
        value = self.value(row)
        return DASH if value is None else with_mark(self.format.page(value), self.mark(row))

    def page_detail(self, row: SettingSummary) -> str:
        """The small print below it."""
        return self.detail(row) or self.format.page_interval(self.interval(row))

    def console_text(self, row: SettingSummary, factor: float = 1.0) -> str:
        """Its value on a terminal, in a unit that is ``factor`` times smaller."""
        value = self.value(row)
        if value is None:
            return DASH
        return with_mark(self.format.console(factor * value), self.mark(row))

    def is_on_page(self, rows: Sequence[SettingSummary]) -> bool:
        """Whether page and Markdown have a column for it."""
        return bool(self.heading) and any(map(self.show_if or self._has_value, rows))

    def is_on_console(self, rows: Sequence[SettingSummary]) -> bool:
        """Whether a terminal shows it."""
        if self.console is None or not self.console.show_if(rows):
            return False
        return self.show_if is None or any(map(self.show_if, rows))

    def _has_value(self, row: SettingSummary) -> bool:
        return self.value(row) is not None
