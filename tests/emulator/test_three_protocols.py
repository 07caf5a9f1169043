"""The same conversation under three protocols: the same text, end, tokens and price."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.emulator.dialects import dialects_by_path
from evalharness.emulator.faults import FAULT_KINDS, FaultStage
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import RequestRefusedError
from tests.emulator.conftest import Server, running

PROTOCOLS = ("chat", "responses", "messages")
VERSION = {"anthropic-version": "2023-06-01"}
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
}
BRIEF = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "Hello"}
CALL = {"name": "weather", "arguments": '{"city":"Rome"}'}
PIXEL = "iVBORw0KGgo="

# Each case in the words of each protocol; the model is added.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "plain": (
        {"messages": [HELLO]},
        {"input": "Hello"},
        {"messages": [HELLO]},
    ),
    "instructions": (
        {"messages": [BRIEF, HELLO], "temperature": 0.5, "top_p": 0.9},
        {"instructions": "Be brief.", "input": [HELLO], "temperature": 0.5, "top_p": 0.9},
        {"system": "Be brief.", "messages": [HELLO], "temperature": 0.5, "top_p": 0.9},
    ),
    "parts": (
        {
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Be "}]},
                {"role": "system", "content": "brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hello"},
                        {
                            "type": "image_url",
                            "image_url": {"url": f"data:image/png;base64,{PIXEL}"},
                        },
                    ],
                },
            ]
        },
        {
            "input": [
                {"role": "developer", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Hello"},
                        {
                            "type": "input_image",
                            "image_url": f"data:image/png;base64,{PIXEL}",
                            "detail": "auto",
                        },
                    ],
                },
            ]
        },
        {
            "system": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hello"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                        },
                    ],
                }
            ],
        },
    ),
    "truncated": (
        {"messages": [HELLO], "max_tokens": 20, "reasoning_effort": "low"},
        {"input": "Hello", "max_output_tokens": 20, "reasoning": {"effort": "low"}},
        {"messages": [HELLO], "max_tokens": 20, "output_config": {"effort": "low"}},
    ),
    "reasoning": (
        {"messages": [HELLO], "reasoning_effort": "low"},
        {"input": "Hello", "reasoning": {"effort": "low", "summary": "auto"}},
        {"messages": [HELLO], "output_config": {"effort": "low"}},
    ),
    "call": (
        {
            "messages": [HELLO],
            "tools": [
                {"type": "function", "function": {"name": "weather", "parameters": CITY}},
                {"type": "function", "function": {"name": "time", "parameters": CITY}},
            ],
            "tool_choice": "required",
            "parallel_tool_calls": True,
        },
        {
            "input": "Hello",
            "tools": [
                {"type": "function", "name": name, "parameters": CITY, "strict": False}
                for name in ("weather", "time")
            ],
            "tool_choice": "required",
            "parallel_tool_calls": True,
        },
        {
            "messages": [HELLO],
            "tools": [{"name": name, "input_schema": CITY} for name in ("weather", "time")],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": False},
        },
    ),
    "called": (
        {
            "messages": [
                HELLO,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "c1", "type": "function", "function": CALL}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            ],
        },
        {
            "input": [
                HELLO,
                {"type": "function_call", "call_id": "c1", **CALL},
                {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            ],
        },
        {
            "messages": [
                HELLO,
                {
                    "role": "assistant",
                    "content": [
                        {
                            "type": "tool_use",
                            "id": "c1",
                            "name": "weather",
                            "input": {"city": "Rome"},
                        }
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}],
                },
            ],
        },
    ),
    "schema": (
        {
            "messages": [HELLO],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "c", "schema": CITY, "strict": True},
            },
        },
        {
            "input": "Hello",
            "text": {"format": {"type": "json_schema", "name": "c", "schema": CITY}},
        },
        {
            "messages": [HELLO],
            "output_config": {"format": {"type": "json_schema", "schema": CITY}},
        },
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """A server a protocol, each with the same random numbers."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(running("--seed", "7")) for name in PROTOCOLS}


def sent(server: Server, protocol: str, body: dict[str, Any], **headers: str) -> Any:
    path = {"chat": "/v1/chat/completions"}.get(protocol, f"/v1/{protocol}")
    whole = {"model": "qwen-plus", **body}
    if protocol == "messages":
        whole = {"max_tokens": 512, **whole}
    return server.client.post(server.root + path, json=whole, headers=VERSION | headers)


def heard(protocol: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer says, in one form."""
    if protocol == "chat":
        choice = answer["choices"][0]
        message = choice["message"]
        calls = [call["function"] for call in message.get("tool_calls", ())]
        return {
            "text": message["content"],
            "reasoning": message.get("reasoning_content", ""),
            "calls": [(call["name"], json.loads(call["arguments"])) for call in calls],
            "refusal": message["refusal"],
            "end": choice["finish_reason"],
        }
    if protocol == "responses":
        items = answer["output"]
        parts = [p for item in items if item["type"] == "message" for p in item["content"]]
        thoughts = [item for item in items if item["type"] == "reasoning"]
        calls = [item for item in items if item["type"] == "function_call"]
        shown = [p for item in thoughts for p in (item["summary"] or item["content"])]
        end = {"max_output_tokens": "length", "content_filter": "content_filter"}
        reason = (answer["incomplete_details"] or {}).get("reason")
        return {
            "text": "".join(part.get("text", "") for part in parts),
            "reasoning": "".join(part["text"] for part in shown),
            "calls": [(call["name"], json.loads(call["arguments"])) for call in calls],
            "refusal": next((part["refusal"] for part in parts if "refusal" in part), None),
            "end": end[reason] if reason else "tool_calls" if calls else "stop",
        }
    blocks = answer["content"]
    uses = [block for block in blocks if block["type"] == "tool_use"]
    end = {"max_tokens": "length", "tool_use": "tool_calls", "end_turn": "stop"}
    details = answer["stop_details"] or {}
    refusal = details.get("explanation")
    filtered = "stop" if refusal else "content_filter"
    return {
        "text": "".join(block["text"] for block in blocks if block["type"] == "text"),
        "reasoning": "".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
        "calls": [(use["name"], use["input"]) for use in uses],
        "refusal": refusal,
        "end": filtered if answer["stop_reason"] == "refusal" else end[answer["stop_reason"]],
    }


def joined(protocol: str, text: str) -> dict[str, Any]:
    """The answer that the events of a stream add up to, in one piece."""
    frames = [frame.split("\n") for frame in text.strip().split("\n\n")]
    events = [json.loads(lines[-1].removeprefix("data: ")) for lines in frames if "{" in lines[-1]]
    if protocol == "responses":
        assert [line[0] for line in frames] == [f"event: {event['type']}" for event in events]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        return grown_response(events)
    if protocol == "messages":
        assert [line[0] for line in frames] == [f"event: {event['type']}" for event in events]
        return grown_message(events)
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    calls: dict[int, dict[str, Any]] = {}
    for part in (part for delta in deltas for part in delta.get("tool_calls", ())):
        call = calls.setdefault(part["index"], {"name": "", "arguments": ""})
        for key in call:
            call[key] += part["function"].get(key, "")
    ends = [c["finish_reason"] for e in events for c in e["choices"] if c["finish_reason"]]
    message: dict[str, Any] = {
        key: "".join(delta.get(key) or "" for delta in deltas)
        for key in ("content", "reasoning_content", "refusal")
    }
    message["refusal"] = message["refusal"] or None
    message["tool_calls"] = [{"function": calls[index]} for index in sorted(calls)]
    return {
        "choices": [{"message": message, "finish_reason": ends[-1]}],
        "meta": events[-1]["meta"],
    }


def grown_response(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The last event's response, whose output is what the pieces add up to."""
    pieces: dict[tuple[int, str], str] = {}
    items: dict[int, dict[str, Any]] = {}
    for event in events:
        kind = event["type"]
        if kind.endswith(".delta"):
            key = (event["output_index"], kind.removesuffix(".delta"))
            pieces[key] = pieces.get(key, "") + event["delta"]
        elif kind == "response.output_item.done":
            items[event["output_index"]] = event["item"]
    response = events[-1]["response"]
    assert response["output"] == [items[index] for index in sorted(items)]
    whole = json.dumps(response["output"])
    assert all(json.dumps(piece)[1:-1] in whole for piece in pieces.values())
    return response


def grown_message(events: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            for key in ("text", "thinking", "signature"):
                if key in delta:
                    block[key] += delta[key]
            block["json"] += delta.get("partial_json", "")
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["json"])
    end = events[-2]
    return {**events[0]["message"], "content": blocks, **end["delta"], "meta": end["meta"]}


@pytest.mark.parametrize("fault", [None, "refusal", "content_filter", "empty_text"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_protocols_agree(
    servers: dict[str, Server], case: str, streamed: bool, fault: str | None
) -> None:
    """Text, reasoning, calls, end, tokens and price are the same, streamed or not."""
    said: list[Any] = []
    for protocol, body in zip(PROTOCOLS, CASES[case], strict=True):
        server = servers[protocol]
        extra = {} if fault is None else {"x-emulator-fault": fault}
        if protocol == "chat":
            body = {"max_tokens": 512, **body}
        elif protocol == "responses":
            body = {"max_output_tokens": 512, **body}
        answer = sent(server, protocol, {**body, "stream": streamed}, **extra)
        assert answer.status_code == 200, answer.text
        row = server.ledger()[-1]
        assert row["protocol"] == protocol
        whole = joined(protocol, answer.text) if streamed else answer.json()
        usd = Decimal(row["billed_usd"])
        if streamed:
            assert Decimal(str(whole["meta"]["usage"]["usd_spent"])) == usd
        else:
            assert Decimal(answer.headers["x-aimlapi-usd-spent"]) == usd
        counts = {key: value for key, value in row.items() if key.endswith("_tokens")}
        said.append((heard(protocol, whole), usd, counts))
    assert said[0] == said[1] == said[2]


def test_usages_add_up(server: Server) -> None:
    """Each protocol counts the prompt, what was cached of it, and the reasoning in its own way."""
    for protocol, body in zip(PROTOCOLS, CASES["reasoning"], strict=True):
        for _ in range(2):
            usage = sent(server, protocol, body).json()["usage"]
        row = server.ledger()[-1]
        assert row["cached_tokens"] == row["prompt_tokens"] > 0
        if protocol == "messages":
            counts = usage["input_tokens"], usage["cache_read_input_tokens"]
            assert counts == (0, row["cached_tokens"])
            assert usage["output_tokens_details"]["thinking_tokens"] > 0
        elif protocol == "responses":
            assert usage["input_tokens"] == row["prompt_tokens"]
            assert usage["input_tokens_details"]["cached_tokens"] == row["cached_tokens"]
            assert usage["output_tokens_details"]["reasoning_tokens"] > 0
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        if protocol != "chat":
            assert usage["output_tokens"] == row["completion_tokens"]


def test_marks_write_the_cache(server: Server) -> None:
    """What stands before a mark is written at its price; the next request reads it."""
    marked = {"type": "text", "text": "Long instructions. " * 9}
    body = {
        "system": [{**marked, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
            }
        ],
    }
    first, second = (sent(server, "messages", body).json()["usage"] for _ in range(2))
    creation = first["cache_creation"]
    assert creation["ephemeral_1h_input_tokens"] > creation["ephemeral_5m_input_tokens"] > 0
    assert first["cache_creation_input_tokens"] == sum(creation.values())
    assert (first["input_tokens"], first["cache_read_input_tokens"]) == (0, 0)
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert second["cache_creation_input_tokens"] == 0
    row = server.ledger()[-2]
    expected = (
        Decimal("0.8") * creation["ephemeral_1h_input_tokens"]
        + Decimal("0.5") * creation["ephemeral_5m_input_tokens"]
        + Decimal("1.2") * first["output_tokens"]
    ) / 1_000_000
    assert Decimal(row["billed_usd"]) == expected


def test_faults_break_every_protocol(server: Server) -> None:
    """Bodies and streams are broken in the form of the protocol that is asked."""
    for protocol, case in zip(PROTOCOLS, CASES["plain"], strict=True):
        answers = {"chat": "choices", "responses": "output", "messages": "content"}[protocol]

        def broken(
            fault: str, protocol: str = protocol, body: dict[str, Any] = case, **more: Any
        ) -> bytes:
            return sent(server, protocol, {**body, **more, "emulator_fault": fault}).content

        for name, kind in FAULT_KINDS.items():
            if kind.stage is FaultStage.BODY and kind.argument is None:
                broken(name)
                assert server.ledger()[-1]["billed"] is True
                broken(name, stream=True)
        assert json.loads(broken("no_choices"))[answers] == []
        assert answers not in json.loads(broken("missing_choices"))
        assert len(json.loads(broken("extra_choices"))[answers]) == 3
        assert "error" in json.loads(broken("error_object"))
        assert b"\xff\xfe" in broken("invalid_utf8")
        assert b'tokens":-8' in broken("negative_usage")
        whole = broken("delay=0", stream=True)
        cut = broken("stream_error", stream=True)
        assert len(cut) < len(whole)
        last = json.loads(cut.strip().split(b"data: ")[-1])
        if protocol == "chat":
            assert last["error"]["type"] == "server_error"
        elif protocol == "responses":
            assert last["sequence_number"] == cut.count(b"data: ") - 1
            assert (last["type"], last["code"]) == ("error", "server_error")
            failed = json.loads(broken("stream_failed", stream=True).split(b"data: ")[-1])
            assert failed["response"]["error"]["code"] == "server_error"
            assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
        else:
            assert last == {
                "type": "error",
                "error": {"type": "overloaded_error", "message": "Overloaded"},
            }
        ending = {"chat": b'finish_reason":"stop', "responses": b"response.completed"}
        end = ending.get(protocol, b"message_delta")
        assert end in whole
        assert end not in broken("no_finish", stream=True)
        with pytest.raises(UnicodeDecodeError):
            broken("cut_utf8", stream=True).decode()
        for name in ("sse_cr", "sse_crlf", "sse_multiline", "sse_comments"):
            lines = broken(name, stream=True).decode().splitlines()
            data = [line[6:] for line in lines if line.startswith("data: ")]
            assert end.decode().replace('"', "") in "".join(data).replace('"', "")


def test_only_a_key_is_needed() -> None:
    """A key may be a bearer's everywhere; in ``x-api-key`` only where Anthropic's API has it."""
    with running("--require-key", "k") as one:
        for protocol, body in zip(PROTOCOLS, CASES["plain"], strict=True):
            assert sent(one, protocol, body).status_code == 401
            assert sent(one, protocol, body, authorization="Bearer k").status_code == 200
            own = sent(one, protocol, body, **{"x-api-key": "k"}).status_code
            assert own == (200 if protocol == "messages" else 401)
            both = {"x-api-key": "other", "authorization": "Bearer k"}
            own = sent(one, protocol, body, **both).status_code
            assert own == (401 if protocol == "messages" else 200)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3000) | st.floats(0, 2) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "input_text", "name", "source", "summary", "x"]
            ),
            inner | st.sampled_from(["text", "message", "user", "tool_use", "function_call"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_body_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever JSON comes, a protocol reads it or refuses it, and never fails otherwise."""
    dialects = dialects_by_path(EmulatorOptions())
    headers = {b"anthropic-version": b"2023-06-01"}
    protocol = data.draw(st.sampled_from(["responses", "messages"]))
    body = dict(CASES[data.draw(st.sampled_from(sorted(CASES)))][PROTOCOLS.index(protocol)])
    body |= {"model": "m", "max_tokens": 9} if protocol == "messages" else {"model": "m"}
    body[data.draw(st.sampled_from([*sorted(body), "thinking", "tools", "system"]))] = data.draw(
        JSON
    )
    dialect = dialects[f"/v1/{protocol}"]
    try:
        request = dialect.parse(dialect.read(msgspec.json.encode(body), headers))
    except RequestRefusedError as refused:
        problem = refused.problem
    else:
        assert request.prompt_tokens > 0
        return
    assert 400 <= problem.status < 500
    assert dialect.error(problem, "1")[1]
