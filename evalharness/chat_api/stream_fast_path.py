"""Events of a stream that differ in nothing but the text they add.

Nearly all chunks of a stream repeat the same identity, model and empty fields around a new piece of
``content``. Merged once, they change nothing when merged again, so of the next chunk with the same
bytes around its text only that text is read: a fifth of the work.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import msgspec

from evalharness.chat_api.lenient_json import as_list, as_object

_CONTENT = re.compile(rb'"content": ?("(?:[^"\\]|\\.)*")', re.DOTALL)
_text = msgspec.json.Decoder(str).decode


# How an event that is a chunk by itself begins and ends.
_FRAMES = ((b"data: ", b"\n\n"), (b"data:", b"\n\n"), (b"data: ", b"\r\n\r\n"))


class Alike:
    """The bytes around the text of an event; :meth:`text` reads that of another one.

    Neither part holds a line end, and the text between, quotes included, is one string of strict
    JSON, which has none: so where both are found, there is one event.
    """

    __slots__ = ("_after", "_before", "_chunk_after", "_chunk_before")

    def __init__(self, before: bytes, after: bytes, frame: tuple[bytes, bytes]) -> None:
        self._before, self._after = before, after
        # With the quotes: what may stand around them in JSON are line ends too.
        self._chunk_before, self._chunk_after = frame[0] + before + b'"', b'"' + after + frame[1]

    @classmethod
    def of(cls, data: bytes, chunk: dict[str, Any], raw: bytes = b"") -> Alike | None:
        """What is to be found around the next text; None where merging again changes more.

        Args:
            data: an event, strict JSON.
            chunk: the same, decoded and merged.
            raw: the bytes in which it came.
        """
        choices = as_list(chunk.get("choices"))
        if len(choices) != 1 or not _adds_text_only(as_object(choices[0])):
            return None
        found = _CONTENT.search(data)
        if found is None:
            return None
        before, after = data[: found.start(1)], data[found.end(1) :]
        # Only then is this text the delta's beyond doubt, and no escape spells the key elsewhere.
        around = before + after
        if around.count(b"content") != 1 or b"\\" in around or b"\n" in around:
            return None
        alone = (frame for frame in _FRAMES if raw == frame[0] + data + frame[1])
        return cls(before, after, next(alone, _FRAMES[0]))

    def text(self, data: bytes) -> str:
        """The text of an event, empty where the event differs in more than that."""
        before, after = self._before, self._after
        if not data.startswith(before) or not data.endswith(after):
            return ""
        try:
            # Exactly one JSON string in its place: the rest is the same JSON as before. Where the
            # two parts overlap, nothing is left for it.
            return _text(data[len(before) : len(data) - len(after)])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    def run(self, chunks: list[bytes], start: int) -> list[str]:
        """The texts of the chunks from ``start`` on, as far as each is exactly one such event."""
        before, after = self._chunk_before, self._chunk_after
        begin, end = len(before) - 1, 1 - len(after)
        texts: list[str] = []
        try:
            for chunk in islice(chunks, start, None):
                if not chunk.startswith(before) or not chunk.endswith(after):
                    break
                text = _text(chunk[begin:end])
                if not text:
                    break
                texts.append(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        return texts


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
