"""Requests of any form are shown, and nothing of them is loaded."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalharness.view.record.messages import shown_prompt, tool_calls
from tests.view.record.test_logprobs import JSON
from tests.view.record_runs import REQUEST

PROMPT = {"messages_json": '[{"role":"user","content":"of the dataset"}]', "fields_json": None}


@given(JSON, st.sampled_from(["messages", "tools"]))
def test_any_request(value: Any, name: str) -> None:
    """Whatever a recorded body is, it is shown or left out."""
    shown_prompt(json.dumps({name: value}), None)
    shown_prompt(json.dumps({"messages": [{"role": value, "content": value}]}), None)
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
