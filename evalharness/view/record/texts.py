"""Long texts, cut to what a page can show, and JSON laid out."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

MAX_OUTPUT = 50_000  # characters of an output on its page
MAX_TEXT = 20_000  # of any other text
_FENCE = re.compile(r"\s*```[\w-]*[ \t]*\n(?P<inside>.*?)\n?```\s*", re.DOTALL)


class CutText(NamedTuple):
    """The beginning of a text, and how many characters are left out."""

    text: str
    left: int = 0


def cut(text: str, limit: int = MAX_TEXT) -> CutText:
    """A text of at most ``limit`` characters."""
    return CutText(text[:limit], max(0, len(text) - limit))


def pretty_json(text: str) -> str | None:
    """JSON with line breaks, its numbers and keys as they are; None where it is no JSON."""
    try:
        msgspec.json.decode(text)
        # What is checked above is laid out, not read: no number is rounded, no key lost.
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def output_json(text: str) -> str | None:
    """The JSON that an output is, perhaps inside of one code fence; None where it is none."""
    fenced = _FENCE.fullmatch(text)
    inside = text if fenced is None else fenced["inside"]
    pretty = pretty_json(inside)
    # A lone number or word is JSON as well, and as plain as before.
    return pretty if pretty is not None and inside.lstrip()[:1] in ("{", "[") else None


def laid_out(text: str) -> str:
    """JSON with line breaks where it is JSON, else the text as it is."""
    pretty = pretty_json(text)
    return text if pretty is None else pretty
