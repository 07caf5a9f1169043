"""Making untrusted texts, such as those of models, safe to print and short enough to read."""

from __future__ import annotations

import re
import unicodedata

# CSI and OSC sequences first, so that no printable rest of them remains.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_KEEP = {"\n", "\t"}


def printable(text: str) -> str:
    """Remove ANSI sequences, and show as escapes what is no text.

    That is control and direction-changing characters, and Unicode's noncharacters (U+FFFF), which
    no XML may hold and on which plots fail.
    """
    if text.isprintable():  # most texts need no change
        return text
    return "".join(_visible(char) for char in _ANSI.sub("", text))


def _visible(char: str) -> str:
    if char in _KEEP:
        return char
    category = unicodedata.category(char)
    is_format = category == "Cf" and char != "\u200d"
    if category in ("Cc", "Cs") or is_format or _is_noncharacter(ord(char)):
        return f"\\u{ord(char):04x}" if ord(char) > 0xFF else f"\\x{ord(char):02x}"
    return char


def _is_noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def one_line(text: str, width: int) -> str:
    """At most ``width`` characters on one line, with line breaks shown."""
    flat = printable(text).replace("\n", "⏎").replace("\t", " ")
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def common_prefix(a: str, b: str) -> int:
    """The length of the common prefix of two texts, in characters."""
    limit = min(len(a), len(b))
    for index in range(limit):
        if a[index] != b[index]:
            return index
    return limit
