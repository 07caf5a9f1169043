"""Readers of cells: one cell of an imported file as a typed value, strictly and unchanged.

A reader takes a value that is not null (from CSV always a text) and raises :class:`CellError`
with what it should have been.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

import msgspec

from evalharness.records import Status, canonical_json

Cell = Callable[[Any], Any]

# No underscores, no hexadecimal, no nan or infinity, ASCII digits: what other programs write.
_INTEGER = re.compile(r"\s*([+-]?[0-9]+)(?:\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_TIME = re.compile(
    r"\s*(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    r"\s?(?P<offset>Z|UTC|[+-]\d\d:?\d\d)?\s*",
    re.ASCII,
)
_INT64 = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_UNIX_S = 9_223_372_036  # the last whole second a 64-bit count of nanoseconds reaches
_MAX_USD = Decimal(10**12)
MONEY_STEP = Decimal("1e-12")  # US dollars; the precision of the column


class CellError(ValueError):
    """A cell that cannot be read; the message completes "`column` …"."""


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a JSON value is an array."""
    return isinstance(value, list)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def quote_value(value: Any) -> str:
    """Quote a value for a message, cut to a readable length."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print numbers of thousands of digits
        text = "a very long number"
    return text if len(text) <= 60 else text[:59] + "…"


def refuse_text(value: Any, kind: str) -> None:
    """Refuse a text, or a list with one, where the format has ``kind`` as a type of its own."""
    items = value if is_list(value) else [value]
    for item in items:
        if isinstance(item, str):
            raise CellError(f"must be {kind}, got the text {quote_value(item)}")


def is_number_or_flag(value: str) -> bool:
    """Whether a text spells a number, true or false as JSON does."""
    try:
        return isinstance(msgspec.json.decode(value), int | float)
    except (msgspec.MsgspecError, RecursionError):
        return False


def text(value: Any) -> str:
    """Read a text; a number is not taken for one."""
    if isinstance(value, str):
        return value
    raise CellError(f"must be a text, got {quote_value(value)}")


def name(value: Any) -> str:
    """Read an identifier or a word; whole numbers are taken as their digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CellError(f"must be a text, got {quote_value(value)}")


def json_text(value: Any) -> str:
    """Read a text as it is, and any other JSON value as its JSON."""
    return value if isinstance(value, str) else canonical_json(value).decode()


def json_value(value: Any) -> Any:
    """Read a JSON value; a text that holds an array or object is decoded."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            raise CellError(f"must be JSON, got {quote_value(value)}") from None
    return value


def json_document(value: Any) -> Any:
    """Read a text as the JSON it is."""
    try:
        return msgspec.json.decode(text(value))
    except (msgspec.MsgspecError, RecursionError):
        raise CellError(f"must be JSON, got {quote_value(value)}") from None


def integer(lowest: int | None, highest: int | None) -> Cell:
    """Make a reader of whole numbers in a closed range; ``3.0`` is one."""

    def read(value: Any) -> int:
        if isinstance(value, str) and (match := _INTEGER.fullmatch(value)):
            # The text is bounded before int(), whose cost grows with the square of its length.
            value = int(match[1]) if len(match[1]) <= 40 else _INT64
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise CellError(f"must be a whole number, got {quote_value(value)}")
        _within(value, lowest, highest)
        if not -_INT64 <= value < _INT64:
            raise CellError(f"must fit into 64 bits, got {quote_value(value)}")
        return value

    return read


def number(lowest: float | None, highest: float | None) -> Cell:
    """Make a reader of finite numbers in a closed range."""

    def read(value: Any) -> float:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CellError(f"must be a number, got {quote_value(value)}")
        if not math.isfinite(value):
            raise CellError(f"must be a finite number, got {quote_value(value)}")
        _within(value, lowest, highest)
        return float(value)

    return read


def _within(value: float, lowest: float | None, highest: float | None) -> None:
    if lowest is not None and value < lowest:
        raise CellError(f"must be at least {lowest:g}, got {quote_value(value)}")
    if highest is not None and value > highest:
        raise CellError(f"must be at most {highest:g}, got {quote_value(value)}")


def boolean(value: Any) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise CellError(f"must be true or false, got {quote_value(value)}")


def money(value: Any) -> Decimal:
    """Read US dollars, not negative, rounded to the column's 10⁻¹² dollars."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise CellError(f"must be US dollars, got {quote_value(value)}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise CellError(f"must be US dollars as a plain number, got {quote_value(value)}")
    try:
        amount = Decimal(value.strip() if isinstance(value, str) else repr(value))
    except InvalidOperation:  # an exponent beyond what Decimal holds
        amount = None
    if amount is None or not 0 <= amount < _MAX_USD:
        raise CellError(f"must be in 0..10^12 US dollars, got {quote_value(value)}")
    return amount.quantize(MONEY_STEP)


def status(value: Any) -> str:
    """Read a record's status."""
    if isinstance(value, str) and value in set(Status):
        return value
    raise CellError(f"must be one of {', '.join(Status)}, got {quote_value(value)}")


def numbers(value: Any) -> list[float]:
    """Read a list of seconds."""
    decoded = json_value(value)
    if not is_list(decoded):
        raise CellError(f"must be a list of numbers, got {quote_value(value)}")
    read_number = number(0, None)
    return [read_number(item) for item in decoded]


def binary(value: Any) -> bytes:
    """Read bytes, written as base64 in text formats."""
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError):
        raise CellError(f"must be base64, got {quote_value(value)}") from None


class TimeReader:
    """Reads times, and counts those without a time zone (taken as UTC)."""

    def __init__(self) -> None:
        self.without_zone = 0

    def __call__(self, value: Any) -> int:
        """Read an ISO 8601 time, or Unix seconds, as nanoseconds since the epoch."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not 0 <= value <= _LATEST_UNIX_S:
                raise CellError(
                    f"must be Unix seconds or an ISO 8601 time, got {quote_value(value)}"
                )
            return int(Decimal(repr(value)) * 10**9)
        match = _TIME.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise CellError(f"must be a time like 2026-01-31T12:00:00Z, got {quote_value(value)}")
        offset = match["offset"]
        self.without_zone += offset is None
        zone = "+00:00" if offset in (None, "Z", "UTC") else offset
        try:
            since_epoch = datetime.fromisoformat(match["second"] + zone) - _EPOCH
        except ValueError as error:
            raise CellError(f"is no time: {error}, got {quote_value(value)}") from None
        nanoseconds = int((match["fraction"] or "").ljust(9, "0"))
        instant = since_epoch // timedelta(seconds=1) * 10**9 + nanoseconds
        if not -_INT64 <= instant < _INT64:
            raise CellError(f"must lie in the years 1678 to 2261, got {quote_value(value)}")
        return instant


def tags(value: Any) -> list[str]:
    """Read a list of labels; in a text, a JSON array or labels between semicolons."""
    decoded = json_value(value)
    if isinstance(decoded, str):
        decoded = [part.strip() for part in decoded.split(";") if part.strip()]
    if not is_list(decoded):
        raise CellError(f"must be a list of texts, got {quote_value(value)}")
    return [name(tag) for tag in decoded]


def messages(value: Any) -> list[dict[str, Any]]:
    """Read chat messages: a list of objects with a role."""
    decoded = json_value(value)
    if not is_list(decoded) or not decoded:
        raise CellError(f"must be a list of messages, got {quote_value(value)}")
    for message in decoded:
        if not is_object(message) or not isinstance(message.get("role"), str):
            raise CellError(f"must be objects with a `role`, got {quote_value(message)}")
    return decoded
