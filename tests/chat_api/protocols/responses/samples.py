"""Bodies and streams of the Responses API, by hand after OpenAI's OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 4},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 8},
    "total_tokens": 50,
}
CITATION = {
    "type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://e.org", "title": "E",
}  # fmt: skip
LOGPROBS = [
    {"token": "Grü", "logprob": -0.1, "bytes": [71, 114, 195, 188], "top_logprobs": []},
    {"token": "ße 🙂", "logprob": -0.2, "bytes": [195, 159, 101], "top_logprobs": []},
]
REASONING = {
    "id": "rs_1", "type": "reasoning",
    "summary": [
        {"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."},
    ],
}  # fmt: skip
SEARCH = {
    "id": "ws_1", "type": "web_search_call", "status": "completed",
    "action": {"type": "search", "query": "q"},
}  # fmt: skip
TEXT = {
    "type": "output_text", "text": "Grüße 🙂", "annotations": [CITATION], "logprobs": LOGPROBS,
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [TEXT],
}  # fmt: skip
CALL = {
    "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
    "name": "add", "arguments": '{"a":1}',
}  # fmt: skip
OUTPUT: list[dict[str, Any]] = [REASONING, SEARCH, MESSAGE, CALL]


def response(output: Any = None, status: Any = "completed", **fields: Any) -> dict[str, Any]:
    """A response object, of which null fields are shown as servers show them."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741476542,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-4.1-2025-04-14",
        "output": OUTPUT if output is None else output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "truncation": "disabled",
        "usage": USAGE,
        **fields,
    }


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    """A message item of these parts."""
    return {**MESSAGE, "content": list(parts)}


def text_part(text: str) -> dict[str, Any]:
    """A part that is a text."""
    return {"type": "output_text", "text": text, "annotations": []}


def events(*payloads: dict[str, Any]) -> list[bytes]:
    """Events as they are sent: a line with the type, a line with the data."""
    lines = [
        f"event: {payload['type']}\ndata: {json.dumps({**payload, 'sequence_number': number})}\n\n"
        for number, payload in enumerate(payloads)
    ]
    return [line.encode() for line in lines]


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """The payload of an event; ``kind`` without ``response.``."""
    return {"type": f"response.{kind}", **fields}


def begin(**fields: Any) -> list[dict[str, Any]]:
    """The first two events of a stream."""
    started = response([], "in_progress", usage=None, **fields)
    return [event("created", response=started), event("in_progress", response=started)]


def _part_events(
    place: dict[str, Any], empty: dict[str, Any], deltas: list[dict[str, Any]],
    done: dict[str, Any], part: dict[str, Any], kind: str, group: str = "content_part",
) -> list[dict[str, Any]]:  # fmt: skip
    return [
        event(f"{group}.added", **place, part=empty),
        *(event(f"{kind}.delta", **place, **delta) for delta in deltas),
        event(f"{kind}.done", **place, **done),
        event(f"{group}.done", **place, part=part),
    ]


def _summary_events() -> list[dict[str, Any]]:
    started = {**REASONING, "summary": []}
    payloads = [event("output_item.added", output_index=0, item=started)]
    for index, (first, second) in enumerate([("Fi", "rst."), ("Th", "en.")]):
        place = {"item_id": "rs_1", "output_index": 0, "summary_index": index}
        part = {"type": "summary_text", "text": first + second}
        payloads += _part_events(
            place, {**part, "text": ""}, [{"delta": first}, {"delta": second}],
            {"text": first + second}, part, "reasoning_summary_text", "reasoning_summary_part",
        )  # fmt: skip
    return [*payloads, event("output_item.done", output_index=0, item=REASONING)]


def _message_events() -> list[dict[str, Any]]:
    place = {"item_id": "msg_1", "output_index": 2, "content_index": 0}
    started = {**MESSAGE, "status": "in_progress", "content": []}
    deltas = [{"delta": entry["token"], "logprobs": [entry]} for entry in LOGPROBS]
    done = {"text": "Grüße 🙂", "logprobs": LOGPROBS}
    parts = _part_events(place, text_part(""), deltas, done, TEXT, "output_text")
    note = event("output_text.annotation.added", **place, annotation_index=0, annotation=CITATION)
    return [
        event("output_item.added", output_index=2, item=started),
        *parts[:3],
        note,
        *parts[3:],
        event("output_item.done", output_index=2, item=MESSAGE),
    ]


def _call_events() -> list[dict[str, Any]]:
    place = {"item_id": "fc_1", "output_index": 3}
    return [
        event(
            "output_item.added",
            output_index=3,
            item={**CALL, "arguments": "", "status": "in_progress"},
        ),
        event("function_call_arguments.delta", **place, delta='{"a"'),
        event("function_call_arguments.delta", **place, delta=":1}"),
        event("function_call_arguments.done", **place, arguments='{"a":1}', name="add"),
        event("output_item.done", output_index=3, item=CALL),
    ]


#: Every event of an answer with all kinds of output, the last one without.
BODY_EVENTS: list[dict[str, Any]] = [
    *begin(),
    *_summary_events(),
    event("output_item.added", output_index=1, item={**SEARCH, "status": "in_progress"}),
    event("web_search_call.in_progress", output_index=1, item_id="ws_1"),
    event("web_search_call.searching", output_index=1, item_id="ws_1"),
    event("web_search_call.completed", output_index=1, item_id="ws_1"),
    event("output_item.done", output_index=1, item=SEARCH),
    *_message_events(),
    *_call_events(),
]
#: All of them.
ALL_EVENTS = [*BODY_EVENTS, event("completed", response=response())]
