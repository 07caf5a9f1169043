"""Answers of the Messages API, written by hand after its documentation: bodies, events, bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response import interpret
from evalharness.config.models import Profile
from evalharness.http import Exchange
from evalharness.records import Reply

MESSAGES = get_protocol("messages")
USAGE = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 30},
    "service_tier": "standard",
    "server_tool_use": None,
}
CITATION = {
    "type": "page_location",
    "cited_text": "The sky is blue.",
    "document_index": 0,
    "document_title": "Sky",
    "start_page_number": 1,
    "end_page_number": 2,
    "file_id": None,
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Let me see. Blue.", "signature": "EqQBCgIYAhIM"},
    {"type": "redacted_thinking", "data": "EmwKAhgBEgy"},
    {"type": "text", "text": "Héllo — it is "},
    {"type": "text", "text": "blue 🌊.", "citations": [CITATION]},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A"}],
    },
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "get_weather",
        "input": {"place": "Zürich", "days": [1, 2]},
    },
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
]


def message(content: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """An unstreamed answer."""
    top: dict[str, Any] = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "Hi"}] if content is None else content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": USAGE,
    }
    return top | fields


def events(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The events that stream a message, as documented: texts in pieces, a ping between."""
    start_usage = {**whole["usage"], "output_tokens": 1}
    start_usage.pop("output_tokens_details", None)
    begun = {**whole, "content": [], "stop_reason": None, "stop_details": None}
    out: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**begun, "usage": start_usage}}
    ]
    for index, block in enumerate(whole["content"]):
        begin, deltas = _pieces(block)
        out.append({"type": "content_block_start", "index": index, "content_block": begin})
        if index == 0:
            out.append({"type": "ping"})
        out += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        out.append({"type": "content_block_stop", "index": index})
    delta = {key: whole[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    # Counts of message_delta are of the whole answer; those of the prompt need not come again.
    usage = {"output_tokens": whole["usage"]["output_tokens"], "cache_read_input_tokens": None}
    if "output_tokens_details" in whole["usage"]:
        usage["output_tokens_details"] = whole["usage"]["output_tokens_details"]
    out.append({"type": "message_delta", "delta": delta, "usage": usage})
    out.append({"type": "message_stop"})
    return out


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind = block["type"]
    if kind == "text":
        text = [{"type": "text_delta", "text": t} for t in _halves(block["text"])]
        cited = [{"type": "citations_delta", "citation": c} for c in block.get("citations", ())]
        return {"type": "text", "text": ""}, [*text, *cited]
    if kind == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": t} for t in _halves(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": kind, "thinking": "", "signature": ""}, [*thoughts, signed]
    if kind in ("tool_use", "server_tool_use"):
        json_text = json.dumps(block["input"]) if block["input"] else ""
        parts = ["", *_halves(json_text)] if json_text else [""]
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": p} for p in parts
        ]
    return block, []


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def sse(stream: list[dict[str, Any]]) -> bytes:
    """Events as the bytes of a stream, each with its name."""
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in stream).encode(
        "utf-8", "replace"
    )


def read(
    body: bytes | dict[str, Any],
    cuts: list[int] | None = None,
    *,
    streamed: bool = False,
    profile: Profile | None = None,
    **fields: Any,
) -> Reply:
    """The reply to a body that came in pieces, one every 10 ms."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    chunks = [data[start:end] for start, end in pairwise(places) if end > start]
    given: dict[str, Any] = {
        "sent_at_ns": 1,
        "status": 200,
        "chunks": chunks,
        "times_ns": [10_000_000 * (n + 1) for n in range(len(chunks))],
        "headers_s": 0.005,
        "latency_s": 9.0,
    }
    exchange = Exchange(**(given | fields))
    return interpret(exchange, streamed=streamed, profile=profile, protocol=MESSAGES)
