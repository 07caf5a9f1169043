"""U+0085, U+2028 and U+2029 in YAML: characters by version 1.2, line breaks to PyYAML (1.1).

PyYAML and libyaml fold these three into spaces or new lines, which changes a prompt without a word.
So that they stay what was written, they are replaced by characters that YAML gives no meaning to
before a text is parsed, and put back into the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

#: What YAML 1.1 takes for line breaks and YAML 1.2 does not, with the escape in double quotes.
ESCAPES = {"\x85": "\\N", "\u2028": "\\L", "\u2029": "\\P"}
SEPARATORS = re.compile("[\x85\u2028\u2029]")
_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


def hide_separators(text: str) -> tuple[str, Callable[[str], str]]:
    """The text without the three characters, and the function that puts them back into a value."""
    separators = sorted(set(SEPARATORS.findall(text)))
    if not separators:
        return text, _unchanged
    stand_ins = dict(zip(separators, _unused_characters(text), strict=False))
    back = str.maketrans({stand_in: character for character, stand_in in stand_ins.items()})
    return text.translate(str.maketrans(stand_ins)), lambda value: value.translate(back)


def write_with_separators(value: Any, write: Callable[[Any], str]) -> str:
    """What ``write`` makes of a value as YAML, with the three characters as YAML 1.2 reads them."""
    separators = sorted({mark for text in _texts(value) for mark in SEPARATORS.findall(text)})
    if not separators:
        return write(value)
    stand_ins = dict(zip(separators, _unused_characters("\n".join(_texts(value))), strict=False))
    to_stand_ins = str.maketrans(stand_ins)
    back = str.maketrans({stand_in: character for character, stand_in in stand_ins.items()})
    return write(_translated(value, to_stand_ins)).translate(back)


def _unchanged(value: str) -> str:
    return value


def _unused_characters(text: str) -> Iterator[str]:
    """Private characters that the text has neither as they are nor by an escape of their code."""
    lowered = text.lower()
    for code in (code for block in _PRIVATE_USE for code in block):
        if chr(code) not in text and f"{code:x}" not in lowered:
            yield chr(code)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts(item)


def _translated(value: Any, table: dict[int, str]) -> Any:
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {_translated(key, table): _translated(item, table) for key, item in items}
    if isinstance(value, list):
        return [_translated(item, table) for item in cast("list[Any]", value)]
    return value
