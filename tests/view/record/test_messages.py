"""Requests of any form are shown, and nothing of them is loaded."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalharness.chat_api.protocols import get_protocol
from evalharness.view.record.messages import shown_prompt, tool_calls
from tests.view.record.test_logprobs import JSON
from tests.view.record_runs import REQUEST

PROMPT = {"messages_json": '[{"role":"user","content":"of the dataset"}]', "fields_json": None}


@given(JSON, st.sampled_from(["messages", "tools", "input", "system", "instructions"]))
def test_any_request(value: Any, name: str) -> None:
    """Whatever a recorded body is, it is shown or left out."""
    shown_prompt(json.dumps({name: value}), None)
    shown_prompt(json.dumps({"messages": [{"role": value, "content": value}]}), None)
    items = [{"type": value, "content": value}, {"type": "x_call", "name": value}, value]
    shown_prompt(json.dumps({"input": items, name: value}), None)
    result = {"type": "tool_result", "content": value}
    shown_prompt(json.dumps({"messages": [{"role": "user", "content": [result]}]}), None)
    shown_prompt(json.dumps({"messages": [{"role": "user", "content": [value],
                                           "tool_calls": [value]}]}), None)  # fmt: skip
    tool_calls(json.dumps(value))


def test_a_request_as_sent() -> None:
    """Roles, data as notes with their size, calls and their answers, tools."""
    shown = shown_prompt(json.dumps(REQUEST), PROMPT)
    assert shown.was_sent
    assert [message.role for message in shown.messages] == ["system", "user", "assistant", "tool"]
    parts = shown.messages[1].parts
    assert [(part.content.text, part.is_note) for part in parts[1:]] == [
        ("image image/png, 1,200 bytes", True),
        ("image at http://127.0.0.1:9/elsewhere.png", True),
    ]
    [call] = shown.messages[2].tool_calls
    assert (call.name, call.call_id, call.arguments.text) == (
        "weather", "call_1", '{\n  "city": "Lisbon"\n}',
    )  # fmt: skip
    assert shown.messages[3].about == "call_1"
    assert shown.tools[0].name == "weather"


def test_without_a_request() -> None:
    """The row of the dataset: its messages, or its fields."""
    assert shown_prompt(None, PROMPT).messages[0].parts[0].content.text == "of the dataset"
    fields = {"messages_json": None, "fields_json": '{"a":1}'}
    shown = shown_prompt("no JSON", fields)
    assert (shown.was_sent, shown.messages[0].role) == (False, "fields")
    assert shown_prompt(None, None).messages == []


def test_request_of_the_messages_api() -> None:
    """Instructions, calls and results stand where those of other requests do; data is not shown."""
    request = {
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4000},
                    },
                    {"type": "document", "source": {"type": "url", "url": "https://a.example"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": "one"}],
            },
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    }
    shown = shown_prompt(json.dumps(request), None)
    assert [message.role for message in shown.messages] == ["system", "user", "assistant", "user"]
    assert [[part.content.text for part in message.parts] for message in shown.messages] == [
        ["Be brief."],
        ["Look", "image image/png, 3,000 bytes", "document at https://a.example"],
        [],
        ["result of t", "one"],
    ]
    (call,) = shown.messages[2].tool_calls
    assert (call.name, call.call_id, json.loads(call.arguments.text)) == ("f", "t", {"a": 1})
    assert shown.tools[0].parameters is not None


def test_request_of_the_responses_api() -> None:
    """Items are shown as the messages, calls and results that they are, as the protocol sends them."""
    question = "data:image/png;base64," + "A" * 4000
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": question}},
                {"type": "file", "file": {"file_id": "file_1"}},
            ],
        },
        {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "one"},
        {"role": "user", "content": "And now?"},
    ]
    shown = shown_prompt(json.dumps(get_protocol("responses").conversation(messages)), PROMPT)
    assert shown.was_sent
    assert [(message.role, message.about) for message in shown.messages] == [
        ("developer", None), ("user", None), ("assistant", None), ("tool", "c"), ("user", None),
    ]  # fmt: skip
    assert [[part.content.text for part in message.parts] for message in shown.messages] == [
        ["Be brief."],
        ["Look", "image image/png, 3,000 bytes", "file file_1: elsewhere"],
        ["Wait."],
        ["one"],
        ["And now?"],
    ]
    [asked] = shown.messages[2].tool_calls
    assert (asked.name, asked.call_id, json.loads(asked.arguments.text)) == ("f", "c", {"a": 1})
    text = shown_prompt('{"instructions":"I","input":"Hello"}', PROMPT)
    assert [(m.role, m.parts[0].content.text) for m in text.messages] == [
        ("instructions", "I"), ("user", "Hello"),
    ]  # fmt: skip
