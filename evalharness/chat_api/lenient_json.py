"""Lenient reading of JSON from a server: a value of the wrong type or range becomes None.

Nothing here raises for any input. Numbers are finite, not negative and below 2^53 (what every JSON
reader holds exactly); a bool is not a number.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, NamedTuple, cast

import msgspec

BOM = b"\xef\xbb\xbf"


INT_LIMIT = 2**53
# Fraction digits of a money column (decimal128(24, 12)).
_MONEY = Decimal(1).scaleb(-12)
_MONEY_LIMIT = Decimal(10) ** 12
_LONGEST_INTEGER = 4000  # digits; CPython refuses to read more than 4,300
_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")

_decode = msgspec.json.Decoder().decode
encode_json = msgspec.json.Encoder(decimal_format="string").encode


class JsonDocument(NamedTuple):
    """A decoded JSON text.

    ``exact``: the bytes were strict JSON in valid UTF-8. Otherwise they were read leniently (NaN,
    numbers out of range, a BOM, lone surrogates, invalid UTF-8), and the value may still hold lone
    surrogates. ``replaced``: bytes that are not UTF-8 became U+FFFD.
    """

    value: Any
    exact: bool = True
    replaced: bool = False


def parse_json(data: bytes) -> JsonDocument | None:
    """Decode JSON: strictly, or else leniently; None when it is not JSON at all.

    NaN, infinities and integers of thousands of digits become None.
    """
    try:
        return JsonDocument(_decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        return None
    data = data.removeprefix(BOM)
    replaced = False
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        replaced = True
    try:
        value = json.loads(text, parse_constant=_none, parse_int=_integer, parse_float=_float)
    except (ValueError, RecursionError):
        return None
    return JsonDocument(value, exact=False, replaced=replaced)


def _none(_: str) -> None:
    return None


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_INTEGER else None


def _float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


class UnicodeCleaner:
    """Makes texts valid Unicode: halves of one surrogate pair are joined, lone ones replaced.

    ``replaced`` is whether any character had to be replaced by U+FFFD.
    """

    def __init__(self) -> None:
        self.replaced = False

    def text(self, text: str) -> str:
        """One text, cleaned."""
        if not _SURROGATE.search(text):
            return text
        units = text.encode("utf-16-le", "surrogatepass")
        try:
            return units.decode("utf-16-le")
        except UnicodeDecodeError:
            self.replaced = True
            return units.decode("utf-16-le", "replace")

    def tree(self, value: Any) -> Any:
        """Decoded JSON with all texts and keys cleaned."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.text(key): self.tree(item) for key, item in items}
        return value


def is_object(value: Any) -> bool:
    """Whether the value is a JSON object."""
    return isinstance(value, dict)


def as_object(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """The value when it is a text."""
    return value if isinstance(value, str) else None


def as_count(value: Any) -> int | None:
    """A count: an integer (or a float without fraction) from 0 to 2^53 - 1."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if 0 <= value < INT_LIMIT else None


def as_usd(value: Any) -> Decimal | None:
    """Dollars from a decimal text or a number: finite, not negative, to 12 fraction digits."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and not 0 <= value < INT_LIMIT:
        return None
    text = str(value).strip()
    if not _DECIMAL.fullmatch(text):
        return None
    amount = Decimal(text)
    if amount >= _MONEY_LIMIT:
        return None
    # Unchanged when it fits: 0.001240000 stays 0.001240000.
    exponent = amount.as_tuple().exponent
    return amount.quantize(_MONEY) if isinstance(exponent, int) and exponent < -12 else amount


def json_text(value: Any) -> str | None:
    """A list or object as JSON text; None for anything else and for empty ones."""
    if not value or not isinstance(value, list | dict):
        return None
    return encode_json(value).decode()
