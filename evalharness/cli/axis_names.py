"""Names of an axis's values on the command line: any characters, each name once.

Hydra's grammar takes few characters in a key, has no quotes for one, and keeps the last of two
equal ones. So other keys go through Hydra as hexadecimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from evalharness.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS = frozenset(("true", "false", "null", "nan", "inf", "yes", "no", "on", "off"))
_ENCODED = "evalharness_name_"
_OPENING, _CLOSING = "{[(", "}])"


class _Key(NamedTuple):
    """A key in a text: its place, and itself without quotes."""

    start: int
    end: int
    name: str


def encode_names(key: str, value: str) -> str:
    """The object ``value`` with its outermost keys as Hydra takes them.

    Args:
        key: the configuration key, for messages.
        value: an object in Hydra's grammar, whose keys may be anything, also in quotes.

    Raises:
        ConfigError: a name twice.
    """
    keys = list(_keys(value))
    names = [place.name for place in keys]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"`{key}` has the name `{name}` twice", hint="give each its own name")
    for place in reversed(keys):
        if not _PLAIN.fullmatch(place.name) or place.name.lower() in _WORDS:
            encoded = _ENCODED + place.name.encode().hex()
            value = value[: place.start] + encoded + value[place.end :]
    return value


def with_text_keys(value: Any) -> Any:
    """Plain data with the keys of all its objects as text, encoded names as they were typed."""
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {_decode(key): with_text_keys(item) for key, item in entries.items()}
    if isinstance(value, list):
        return [with_text_keys(item) for item in cast("list[Any]", value)]
    return value


def _decode(key: Any) -> str:
    text = str(key)
    if text.startswith(_ENCODED):
        return bytes.fromhex(text.removeprefix(_ENCODED)).decode()
    return text


def _keys(value: str) -> Iterator[_Key]:
    """The keys of an object in Hydra's grammar, the outermost level only."""
    depth, start, quote, escaped, in_key = 0, 0, "", False, True
    for position, character in enumerate(value):
        if quote:
            escaped = character == "\\" and not escaped
            if character == quote and not escaped:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in _OPENING:
            depth += 1
            start = position + 1 if depth == 1 else start
        elif character in _CLOSING:
            depth -= 1
        elif character == ":" and depth == 1 and in_key:
            name = value[start:position].strip()
            is_quoted = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
            yield _Key(start, position, name[1:-1] if is_quoted else name)
            in_key = False
        elif character == "," and depth == 1:
            start, in_key = position + 1, True
