"""How the numbers of a setting are written on the page and, shorter, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from evalharness.report.words.format_numbers import (
    DASH,
    count_text,
    dollars,
    percent,
    seconds,
    share_interval,
)


class NumberFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How numbers of one kind are written.

    Attributes:
        page: a value on the page and in Markdown.
        console: a value on a terminal.
        page_interval, console_interval: the interval of a value; empty where it has none.
        console_unit: for the values of a column the name of the unit, and the factor to it.
    """

    page: Callable[[float], str]
    console: Callable[[float], str]
    page_interval: Callable[[Sequence[float] | None], str] = lambda _: ""
    console_interval: Callable[[Sequence[float] | None], str] = lambda _: ""
    console_unit: Callable[[Sequence[float]], tuple[str, float]] = lambda _: ("", 1.0)


def share_with_interval(value: float | None, ci: Sequence[float] | None) -> str:
    """``93% [76,100]``, as a terminal shows it; the dash when unknown, never 0."""
    return DASH if value is None else _share(value) + _share_interval(ci)


def dollar_amount(amount: float) -> str:
    """Dollars without their sign: cents from one dollar up, three digits below."""
    return f"{amount:.2f}" if amount >= 1 else dollars(amount).removeprefix("$")


def _share(value: float) -> str:
    return f"{100 * value:.0f}%"


def _share_interval(ci: Sequence[float] | None) -> str:
    """An interval of a share in whole points, cut to 0–100.

    A t interval of few prompts may reach beyond 0 or 1; the JSON has it as computed.
    """
    if ci is None:
        return ""
    low, high = (100 * min(1.0, max(0.0, end)) for end in ci)
    return f" [{low:.0f},{high:.0f}]"


def _time(value: float) -> str:
    """A duration with three significant digits, two when it is short."""
    return f"{value:.3g}" if value >= 0.1 else f"{value:.2g}"


def _time_unit(values: Sequence[float]) -> tuple[str, float]:
    """Milliseconds where all are below a second."""
    known = [value for value in values if value]
    return ("ms", 1000.0) if known and max(known) < 1 else ("s", 1.0)


def _count(value: float) -> str:
    return f"{value:.0f}"


def _short_count(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 10_000 else _count(value)


def _one_digit(value: float) -> str:
    return f"{value:,.1f}"


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


SHARE = NumberFormat(
    page=percent, console=_share, page_interval=share_interval, console_interval=_share_interval
)
TIME = NumberFormat(page=seconds, console=_time, console_unit=_time_unit)
DOLLARS = NumberFormat(page=dollars, console=dollar_amount)
COUNT = NumberFormat(page=count_text, console=_count)
SHORT_COUNT = NumberFormat(page=count_text, console=_short_count)
ONE_DIGIT = NumberFormat(page=_one_digit, console=_one_digit)
TWO_DIGITS = NumberFormat(page=_two_digits, console=_two_digits)
