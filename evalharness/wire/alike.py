"""Events of a stream that differ in nothing but the text they add.

Nearly all chunks of a stream repeat the same identity, model and empty fields around a new piece of
``content``. Merged once, they change nothing when merged again, so of the next chunk with the same
bytes around its text only that text is read: a fifth of the work.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from evalharness.wire.lenient import as_list, as_object

_CONTENT = re.compile(rb'"content": ?("(?:[^"\\]|\\.)*")', re.DOTALL)
_text = msgspec.json.Decoder(str).decode


class Alike:
    """The bytes around the text of a chunk; :meth:`text` reads that of another chunk."""

    __slots__ = ("_after", "_before", "_least")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        self._least = len(before) + len(after) + 2

    @classmethod
    def of(cls, data: bytes, chunk: dict[str, Any]) -> Alike | None:
        """What is to be found around the next text; None where merging again changes more.

        Args:
            data: an event, strict JSON.
            chunk: the same, decoded and merged.
        """
        choices = as_list(chunk.get("choices"))
        if len(choices) != 1 or not _adds_text_only(as_object(choices[0])):
            return None
        found = _CONTENT.search(data)
        if found is None:
            return None
        before, after = data[: found.start(1)], data[found.end(1) :]
        # Only then is this text the delta's beyond doubt, and no escape spells the key elsewhere.
        if (before + after).count(b"content") != 1 or b"\\" in before or b"\\" in after:
            return None
        return cls(before, after)

    def text(self, data: bytes) -> str:
        """The text of an event, empty where the event differs in more than that."""
        before, after = self._before, self._after
        if len(data) < self._least or not data.startswith(before) or not data.endswith(after):
            return ""
        try:
            # Exactly one JSON string in its place: the rest is the same JSON as before.
            return _text(data[len(before) : len(data) - len(after)])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""


def _adds_text_only(choice: dict[str, Any]) -> bool:
    """Whether all but the content would overwrite itself with the same value."""
    delta = as_object(choice.get("delta"))
    if not isinstance(delta.get("content"), str) or not delta["content"]:
        return False
    if any(value is not None and key not in ("role", "content") for key, value in delta.items()):
        return False
    if not isinstance(delta.get("role"), str | None):
        return False
    return not any(
        isinstance(value, dict | list) for key, value in choice.items() if key != "delta"
    )
