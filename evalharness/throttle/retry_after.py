"""How long a refusal asks to wait before the next request, from its headers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A longer value is no waiting time: a Unix timestamp, or nonsense.
_MAX_WAIT_S = 31 * 86_400.0
_NUMBER = re.compile(r"\+?\d{1,18}(\.\d{0,18})?", re.ASCII)
_DURATION = re.compile(
    r"(?:(?P<d>\d{1,6})d)?(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m(?!s))?"
    r"(?:(?P<s>\d{1,9}(?:\.\d{1,12})?)s)?(?:(?P<ms>\d{1,9}(?:\.\d{1,12})?)ms)?",
    re.ASCII,
)
_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse_retry_after(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Seconds to wait from now, or None where the headers ask for nothing usable.

    In this order: ``retry-after-ms``; ``retry-after`` as a number of seconds or an HTTP-date (RFC
    9110 §10.2.3), the date read against the response's own ``date`` so that clocks need not
    agree, and as servers write it besides (``30s``, ``1m30s``, a Unix time; of several values the
    longest); ``x-ratelimit-reset*`` (``6m0s``, ``20ms``, seconds, or a Unix time) where the
    matching ``x-ratelimit-remaining*`` is 0, and Anthropic's ``anthropic-ratelimit-*-reset`` (RFC
    3339, read against ``date`` too) where its ``…-remaining`` is, the longest of them. A value that
    is zero or less, not finite, unreadable or longer than 31 days counts as absent.

    Args:
        headers: response headers with lower-case names.
        now_ns: wall clock, nanoseconds since the Unix epoch.
    """
    millis = _number(headers.get("retry-after-ms", ""))
    if millis is not None and (wait := _plausible(millis / 1000)) is not None:
        return wait
    stated = headers.get("retry-after", "")
    waits = [_duration(value.strip(), now_ns) for value in stated.split(",")]
    seconds = max((wait for wait in waits if wait is not None), default=None)
    if seconds is None:
        seconds = _until(_http_date(stated), headers.get("date", ""), now_ns)
    if seconds is not None and (wait := _plausible(seconds)) is not None:
        return wait
    return _reset(headers, now_ns)


def _plausible(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and 0 < seconds <= _MAX_WAIT_S else None


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _http_date(text: str) -> float | None:
    """An HTTP-date as Unix seconds; one without a zone is UTC, as the RFC demands."""
    if not text or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _rfc3339(text: str) -> float | None:
    """A moment of RFC 3339 as Unix seconds; one without a zone is none."""
    if len(text) > 64:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return None if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _until(target: float | None, date: str, now_ns: int) -> float | None:
    """Seconds until a moment, from the response's own date where it has one."""
    if target is None:
        return None
    sent = _http_date(date)
    return target - (now_ns / 1e9 if sent is None else sent)


def _reset(headers: Mapping[str, str], now_ns: int) -> float | None:
    waits: list[float] = []
    for name, value in headers.items():
        if name.startswith("x-ratelimit-reset"):
            remaining = _number(headers.get(name.replace("-reset", "-remaining", 1), ""))
            wait = _duration(value.strip(), now_ns)
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            remaining = _number(headers.get(f"{name.removesuffix('reset')}remaining", ""))
            wait = _until(_rfc3339(value), headers.get("date", ""), now_ns)
        else:
            continue
        if remaining == 0 and wait is not None and (plausible := _plausible(wait)) is not None:
            waits.append(plausible)
    return max(waits, default=None)


def _duration(text: str, now_ns: int) -> float | None:
    number = _number(text)
    if number is not None:
        if number >= 1e12:  # Unix time in milliseconds
            return number / 1e3 - now_ns / 1e9
        return number - now_ns / 1e9 if number >= 1e9 else number
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    return sum(float(n) * _UNITS_S[unit] for unit, n in match.groupdict().items() if n)
