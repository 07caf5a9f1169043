"""The fast path for stream events that differ only in the text they add.

Nearly all chunks of a stream repeat the same id, model and empty fields around a new piece of
``content``. Merging these fields again changes nothing, so of the next chunk with the same bytes
around its text only that text is decoded: a fifth of the work.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import msgspec

from evalharness.chat_api.lenient_json import as_list, as_object

_CONTENT = re.compile(rb'"content": ?("(?:[^"\\]|\\.)*")', re.DOTALL)
_text = msgspec.json.Decoder(str).decode


# How a chunk that is exactly one event begins and ends.
_EVENT_FRAMES = ((b"data: ", b"\n\n"), (b"data:", b"\n\n"), (b"data: ", b"\r\n\r\n"))


class ChunkTemplate:
    """The bytes around the text of an event; :meth:`read_text` reads that of another one.

    Neither part holds a line end, and the text between, quotes included, is one string of strict
    JSON, which has none: so where both match, there is one event.
    """

    __slots__ = ("_chunk_prefix", "_chunk_suffix", "_prefix", "_suffix")

    def __init__(self, prefix: bytes, suffix: bytes, frame: tuple[bytes, bytes]) -> None:
        self._prefix, self._suffix = prefix, suffix
        # With the quotes: outside them JSON allows line ends.
        self._chunk_prefix, self._chunk_suffix = frame[0] + prefix + b'"', b'"' + suffix + frame[1]

    @classmethod
    def from_chunk(
        cls, data: bytes, chunk: dict[str, Any], raw: bytes = b""
    ) -> ChunkTemplate | None:
        """The template of a chunk; None where merging it again changes more than the text.

        Args:
            data: an event, strict JSON.
            chunk: the same, decoded and merged.
            raw: the bytes in which it came.
        """
        choices = as_list(chunk.get("choices"))
        if len(choices) != 1 or not _adds_text_only(as_object(choices[0])):
            return None
        match = _CONTENT.search(data)
        if match is None:
            return None
        prefix, suffix = data[: match.start(1)], data[match.end(1) :]
        # Only then is this text surely the delta's, and no escape spells the key elsewhere.
        around = prefix + suffix
        if around.count(b"content") != 1 or b"\\" in around or b"\n" in around:
            return None
        frames = (frame for frame in _EVENT_FRAMES if raw == frame[0] + data + frame[1])
        return cls(prefix, suffix, next(frames, _EVENT_FRAMES[0]))

    def read_text(self, data: bytes) -> str:
        """The text of an event, empty where the event differs in more than that."""
        prefix, suffix = self._prefix, self._suffix
        if not data.startswith(prefix) or not data.endswith(suffix):
            return ""
        try:
            # Exactly one JSON string in its place: the rest is the same JSON as before. Where the
            # two parts overlap, nothing is left for it.
            return _text(data[len(prefix) : len(data) - len(suffix)])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    def read_texts(self, chunks: list[bytes], start: int) -> list[str]:
        """The texts of the chunks from ``start`` on, as far as each is exactly one such event."""
        prefix, suffix = self._chunk_prefix, self._chunk_suffix
        begin, end = len(prefix) - 1, 1 - len(suffix)
        texts: list[str] = []
        try:
            for chunk in islice(chunks, start, None):
                if not chunk.startswith(prefix) or not chunk.endswith(suffix):
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
