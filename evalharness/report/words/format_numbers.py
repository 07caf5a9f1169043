"""Numbers as people read them: with units, significant digits, and a dash for unknown values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from evalharness.analysis.comparison.comparison_text import RATE_UNITS, p_text
from evalharness.analysis.data.metrics import TIME_METRICS, is_share

DASH = "—"
_NBSP = "\u00a0"  # no line breaks between a number and its unit
MINUS = "−"


def percent(value: float | None, digits: int = 0) -> str:
    """``93 %``; the dash when unknown."""
    return DASH if value is None else f"{100 * value:.{digits}f}{_NBSP}%"


def strict_percent(value: float | None) -> str:
    """As :func:`percent`, with ``0 %`` and ``100 %`` of exactly 0 and 1 only."""
    return DASH if value is None else f"{strict_hundredths(value)}{_NBSP}%"


def strict_hundredths(value: float) -> str:
    """``93``; ``99.8`` or ``>99.9`` of a share below 1 that would round to it, and so at 0."""
    for digits in (0, 1):
        text = f"{100 * value:.{digits}f}"
        if value in (0.0, 1.0) or float(text) not in (0.0, 100.0):
            return text
    return "<0.1" if value < 0.5 else ">99.9"


def share_interval(ci: Sequence[float] | None, *, strict: bool = False) -> str:
    """``[76, 100]`` in per cent, cut to 0–100; empty when undefined.

    ``strict``: 0 and 100 of exactly 0 and 1 only, as in :func:`strict_percent`.

    A t interval of few prompts may reach beyond 0 or 1; the JSON has it as computed.
    """
    if ci is None:
        return ""
    low, high = (min(1.0, max(0.0, end)) for end in ci)
    if strict:
        return f"[{strict_hundredths(low)},{_NBSP}{strict_hundredths(high)}]"
    return f"[{100 * low:.0f},{_NBSP}{100 * high:.0f}]"


def seconds(value: float | None) -> str:
    """A duration with its unit, in three significant digits."""
    if value is None:
        return DASH
    if 0 < value < 1e-3:
        return f"{_three_digits(1e6 * value)}{_NBSP}µs"
    # Zeros at the end are kept, so that 0.998 s and 1.00 s have as many digits.
    unit, scale = time_unit(value)
    return f"{_three_digits(scale * value)}{_NBSP}{unit}"


def seconds_interval(ci: Sequence[float] | None, mean: float | None = None) -> str:
    """``[13.9, 16.0]`` in the unit in which :func:`seconds` shows the mean; empty if undefined."""
    if ci is None:
        return ""
    _, scale = time_unit(ci[1] if mean is None else mean)
    return f"[{_three_digits(max(0.0, ci[0]) * scale)},{_NBSP}{_three_digits(ci[1] * scale)}]"


def percentile_interval(ends: Sequence[float | None] | None, value: float | None) -> str:
    """``[1.20, 3.77]`` in the unit in which :func:`seconds` shows the percentile.

    An end that too few prompts bound is a dash; empty if undefined.
    """
    if ends is None or value is None or set(ends) == {None}:
        return ""
    _, scale = time_unit(value)
    low, high = (DASH if end is None else _three_digits(end * scale) for end in ends)
    return f"[{low},{_NBSP}{high}]"


def dollars_interval(ci: Sequence[float] | None, scale: float) -> str:
    """``[0.51, 0.62]`` US dollars, after multiplying by ``scale``; empty when undefined."""
    if ci is None:
        return ""
    low, high = (dollars(max(0.0, end) * scale).removeprefix("$") for end in ci)
    return f"[{low},{_NBSP}{high}]"


def _three_digits(value: float) -> str:
    """Three significant digits with zeros at the end kept: 16.0."""
    return f"{value:#.3g}".removesuffix(".") if 0 < value < 99.5 else f"{value:,.0f}"


def duration(value: float) -> str:
    """A long duration in its two largest units: ``17 min 22 s``."""
    if value < 1:
        return seconds(value)
    rest = round(value)
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    parts: list[str] = []
    for size, name in units:
        amount, rest = divmod(rest, size)
        if amount or parts:
            parts.append(f"{amount}{_NBSP}{name}")
    shown = [part for part in parts[:2] if not part.startswith(f"0{_NBSP}")]
    return " ".join(shown)


def dollars(value: Decimal | float | None) -> str:
    """US dollars: cents from one dollar up, three digits below: ``$1,204.50``, ``$0.0000275``."""
    if value is None:
        return DASH
    if value == 0:
        return "$0"
    sign, size = (MINUS if value < 0 else ""), abs(value)
    if size >= 0.9995:  # what rounds to a dollar is one
        return f"{sign}${size:,.2f}"
    places = 2 - math.floor(math.log10(size))
    return f"{sign}${size:.{places}f}".rstrip("0")


def add_dollars(amounts: Iterable[Decimal | None]) -> Decimal:
    """The exact sum of the known amounts."""
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def count_text(number: float | None) -> str:
    """A count with separators between thousands."""
    return DASH if number is None else f"{number:,.0f}"


def metric_value(metric: str, value: float | None) -> str:
    """A value of a comparison metric with its unit."""
    if value is None:
        return DASH
    if is_share(metric):
        return percent(value, 1)
    if metric in TIME_METRICS:
        return seconds(value)
    if metric in RATE_UNITS:
        return f"{_significant(value)}{_NBSP}/s"
    return dollars(value) if metric == "cost_usd" else _significant(value)


def metric_difference(metric: str, value: float | None, largest: float | None = None) -> str:
    """A difference of a metric, signed, with its unit: ``−59.3 pp``, ``+1.2 s``.

    For ``largest`` see :func:`metric_size`.
    """
    if value is None:
        return DASH
    size = metric_size(metric, value, largest)
    # A difference that rounds to 0 has no sign.
    sign = "" if float("".join(c for c in size if c.isdigit()) or 0) == 0 else "+"
    return f"{MINUS if sign and value < 0 else sign}{size}"


def metric_size(metric: str, value: float, largest: float | None = None) -> str:
    """The size of a difference, without its sign: ``59.3 pp``.

    Figures shown side by side share a unit, which ``largest``, the largest of them, determines.
    """
    size = abs(value)
    if is_share(metric):
        return f"{100 * size:.1f}{_NBSP}pp"
    if metric in TIME_METRICS:
        unit, scale = time_unit(size if largest is None else largest)
        return f"{_significant(size * scale)}{_NBSP}{unit}"
    if metric == "cost_usd":
        return dollars(size)
    unit = {"completion_tokens": "tokens", **RATE_UNITS}.get(metric)
    return f"{_significant(size)}{_NBSP}{unit}" if unit else _significant(size)


def time_unit(size: float) -> tuple[str, float]:
    """The unit for a time in seconds, and the factor to convert it: ``("ms", 1000)``."""
    return ("ms", 1e3) if 0 < abs(size) < 0.1 else ("s", 1.0)


def difference_interval(
    metric: str, ci: Sequence[float] | None, largest: float | None = None
) -> str:
    """``[−68.9, −49.6]`` in the unit of :func:`metric_difference`; says so when undefined.

    An interval of six prompts or more is undefined only where all differ by the same amount.
    """
    if ci is None or not is_share(metric):
        return slope_interval(metric, ci, largest)
    # A difference of shares is between −100 and 100 points; a t interval may reach beyond.
    return _interval([f"{100 * min(1.0, max(-1.0, end)):+.1f}" for end in ci])


def slope_interval(metric: str, ci: Sequence[float] | None, largest: float | None = None) -> str:
    """The interval of a slope, which unlike a difference of shares has no bounds."""
    if ci is None:
        return "[no interval]"
    scale, format_end = (100.0 if is_share(metric) else 1.0), _significant
    if metric in TIME_METRICS:
        _, scale = time_unit(max(map(abs, ci)) if largest is None else largest)
    elif metric == "cost_usd":
        format_end = _dollars_without_sign
    return _interval([f"{'-' if end < 0 else '+'}{format_end(scale * abs(end))}" for end in ci])


def _interval(ends: Sequence[str]) -> str:
    return "[" + f",{_NBSP}".join(end.replace("-", MINUS) for end in ends) + "]"


def _dollars_without_sign(value: float) -> str:
    return dollars(value).removeprefix("$")


def p_number(p: float | None) -> str:
    """:func:`p_value` of a column headed ``p``: ``.28``; the dash when unknown."""
    return DASH if p is None else p_value(p).removeprefix(f"p{_NBSP}").removeprefix(f"={_NBSP}")


def p_value(p: float | None) -> str:
    """``p = .28``, ``p < .001``: :func:`p_text` with spaces that do not break."""
    return p_text(p).replace("=", f"{_NBSP}={_NBSP}").replace("<", f"{_NBSP}<{_NBSP}")


def instant(text: str | None) -> str:
    """An ISO 8601 instant as ``23 November 2026, 23:18 UTC``; any other text unchanged."""
    if not text:
        return DASH
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = " UTC" if when.utcoffset() is not None and not when.utcoffset() else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def parameter_text(value: Any) -> str:
    """A parameter's value; null is ``not sent``."""
    if value is None:
        return "not sent"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def plain_number(value: float) -> str:
    """Four significant digits, never in powers of ten; a dash where there is no number."""
    return f"{Decimal(f'{value:.4g}'):f}" if math.isfinite(value) else DASH


def _significant(value: float) -> str:
    """Three significant digits, never in powers of ten between 0.001 and 1e6."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 1e-3:
        return f"{value:.3g}"
    return f"{value:.2e}"
