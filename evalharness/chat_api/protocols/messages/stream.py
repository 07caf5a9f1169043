"""Merging: the events of a streamed message → the message they add up to.

https://platform.claude.com/docs/en/build-with-claude/streaming: events that are not known here are
ignored, as the documentation asks; what they bring is in no merged message.
"""

from __future__ import annotations

from typing import Any

from evalharness.chat_api.lenient_json import (
    as_count,
    as_list,
    as_object,
    as_text,
    is_object,
    parse_json,
)
from evalharness.chat_api.usage import has_tokens, merge_usage

# Deltas that are texts: where each stands in the delta, and in the block.
_PIECES = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}
# The block that a delta belongs to where its beginning did not come.
_KIND_OF = {
    "text_delta": "text", "citations_delta": "text", "thinking_delta": "thinking",
    "signature_delta": "thinking", "input_json_delta": "tool_use",
}  # fmt: skip


class _BlockPieces:
    """A content block under construction: its beginning, and the texts that were added."""

    __slots__ = ("citations", "fields", "pieces")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.pieces: dict[str, list[str]] = {}
        self.citations: list[Any] = []

    def whole(self) -> dict[str, Any]:
        """The block as an unstreamed answer has it."""
        block = dict(self.fields)
        for key, pieces in self.pieces.items():
            text = "".join(pieces)
            if key == "input":
                if text:
                    block[key] = _input(text)
            else:
                block[key] = (as_text(block.get(key)) or "") + text
        if self.citations:
            block["citations"] = [*as_list(block.get("citations")), *self.citations]
        return block


def _input(text: str) -> Any:
    """The arguments of a call; the text itself where it was cut or is no object."""
    document = parse_json(text.encode("utf-8", "surrogatepass"))
    return document.value if document is not None and is_object(document.value) else text


class MessageMerger:
    """Takes events in order; :meth:`completion` gives the message so far.

    Attributes:
        times_ns: arrival of each event with text, thinking or a part of a tool call.
        first_ns: of the first of them, None before.
        first_output_ns: of the first that was not thinking alone, None before.
        first_reasoning_ns, last_reasoning_ns: of the first and the last with thinking, None before.
    """

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.first_ns: int | None = None
        self.first_output_ns: int | None = None
        self.first_reasoning_ns: int | None = None
        self.last_reasoning_ns: int | None = None
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, _BlockPieces] = {}
        self._counted = False

    @property
    def finished(self) -> bool:
        """Whether its stop_reason came."""
        return bool(as_text(self._message.get("stop_reason")))

    @property
    def is_counted(self) -> bool:
        """Whether the usage of its end came: what comes at the beginning is not what is billed."""
        return self._counted and has_tokens(as_object(self._message.get("usage")))

    def add(self, chunk: dict[str, Any], at_ns: int) -> bool:
        """Merge one event that arrived at ``at_ns``; whether it has content that counts."""
        kind = chunk.get("type")
        reasoning = output = False
        if kind == "content_block_delta":
            reasoning, output = self._delta(chunk)
        elif kind == "content_block_start":
            reasoning, output = self._start(chunk)
        elif kind == "message_start":
            self._begin(as_object(chunk.get("message")))
        elif kind == "message_delta":
            self._end(chunk)
        elif kind == "message":  # some servers answer with the whole message
            self._begin(chunk)
            self._counted = True
            reasoning, output = self._whole_blocks()
        if reasoning:
            self.last_reasoning_ns = at_ns
            if self.first_reasoning_ns is None:
                self.first_reasoning_ns = at_ns
        if output and self.first_output_ns is None:
            self.first_output_ns = at_ns
        if not reasoning and not output:
            return False
        self.times_ns.append(at_ns)
        if self.first_ns is None:
            self.first_ns = at_ns
        return True

    def add_texts(self, texts: list[str], times_ns: list[int]) -> None:
        """Never asked for: only the chunks of chat completions repeat."""
        raise NotImplementedError

    def completion(self) -> dict[str, Any] | None:
        """The merged message, None when none began."""
        if not self._message and not self._blocks:
            return None
        blocks = [self._blocks[index].whole() for index in sorted(self._blocks)]
        return {"type": "message", **self._message, "content": blocks}

    def _begin(self, message: dict[str, Any]) -> None:
        for index, block in enumerate(as_list(message.get("content"))):
            self._blocks[index] = _BlockPieces(dict(as_object(block)))
        self._message |= {key: value for key, value in message.items() if key != "content"}

    def _end(self, chunk: dict[str, Any]) -> None:
        changes = as_object(chunk.get("delta"))
        others = {k: v for k, v in chunk.items() if k not in ("type", "delta", "usage")}
        for key, value in (*changes.items(), *others.items()):
            if value is not None or key not in self._message:
                self._message[key] = value
        usage = as_object(chunk.get("usage"))
        if usage:
            self._counted = True
            self._message["usage"] = merge_usage(as_object(self._message.get("usage")), usage)

    def _whole_blocks(self) -> tuple[bool, bool]:
        carried = [_carries(block.fields) for block in self._blocks.values()]
        return any(reasoning for reasoning, _ in carried), any(output for _, output in carried)

    def _start(self, chunk: dict[str, Any]) -> tuple[bool, bool]:
        block = dict(as_object(chunk.get("content_block")))
        self._blocks[self._index(chunk)] = _BlockPieces(block)
        return _carries(block)

    def _delta(self, chunk: dict[str, Any]) -> tuple[bool, bool]:
        delta, index = as_object(chunk.get("delta")), self._index(chunk)
        kind = as_text(delta.get("type")) or ""
        if kind not in _KIND_OF:
            return False, False
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _BlockPieces({"type": _KIND_OF[kind]})
        if kind == "citations_delta":
            block.citations.append(delta.get("citation"))
            return False, False
        source, target = _PIECES[kind]
        text = as_text(delta.get(source))
        if not text:
            return False, False
        block.pieces.setdefault(target, []).append(text)
        is_call = kind == "input_json_delta" and block.fields.get("type") == "tool_use"
        return kind == "thinking_delta", kind == "text_delta" or is_call

    def _index(self, chunk: dict[str, Any]) -> int:
        index = as_count(chunk.get("index"))
        return max(self._blocks, default=0) if index is None else index


def _carries(block: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the beginning of a block carries thinking, and content besides."""
    kind = block.get("type")
    output = kind == "tool_use" or (kind == "text" and bool(block.get("text")))
    return kind == "thinking" and bool(block.get("thinking")), output
