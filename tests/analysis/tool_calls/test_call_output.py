"""What one answer did with its tools."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.tool_calls.call_output import offered_tools, read_call_output

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {"weather": SCHEMA, "clock": None}


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "x", "type": "function", "function": {"name": name, "arguments": arguments}}


def read(*calls: dict[str, Any], reason: str = "tool_calls", text: str | None = None):
    return read_call_output(reason, json.dumps(calls) if calls else None, text, TOOLS)


def test_calls_that_can_be_executed() -> None:
    output = read(call("weather", '{"city": "Oslo"}'), call("clock", ""))
    assert (output.calls, output.is_called, output.is_valid) == (2, True, True)


@pytest.mark.parametrize(
    ("name", "arguments", "fault"),
    [
        ("functions.weather", '{"city": "Oslo"}', "unknown_names"),
        ("weather", '{"city": "Oslo"', "unreadable"),
        ("weather", '"Oslo"', "unreadable"),
        ("weather", '{"town": "Oslo"}', "misfits"),
        ("weather", '{"city": 7}', "misfits"),
    ],
)
def test_faults(name: str, arguments: str, fault: str) -> None:
    output = read(call(name, arguments))
    counts = {key: getattr(output, key) for key in ("unknown_names", "unreadable", "misfits")}
    assert counts == {**dict.fromkeys(counts, 0), fault: 1}
    assert (output.is_called, output.is_valid) == (True, False)


def test_the_finish_reason_decides() -> None:
    """As the vendor verifier counts; what does not agree with it is counted beside."""
    assert not read(call("clock", "{}"), reason="stop").is_called
    empty = read(reason="tool_calls")
    assert (empty.is_called, empty.is_valid) == (True, False)
    assert [read(reason=word).finish for word in ("tool_use", "end_turn", "length")] == [
        "tool_calls", "stop", "other",
    ]  # fmt: skip


def test_a_call_in_the_text() -> None:
    assert read(reason="stop", text='<tool_call>{"name": "weather", "arguments": {}}').in_text
    assert not read(reason="stop", text="The weather is fine.").in_text
    assert not read(call("clock", "{}"), text='weather {"city": "Oslo"}').in_text


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}},
        {"type": "function", "name": "weather", "parameters": SCHEMA},
        {"name": "weather", "input_schema": SCHEMA},
    ],
)
def test_requests_of_every_protocol(tool: dict[str, Any]) -> None:
    assert offered_tools(json.dumps({"tools": [tool]})) == {"weather": SCHEMA}


@given(
    st.text(),
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
)
def test_nothing_raises(text: str, value: Any) -> None:
    """Whatever a server sends."""
    offered_tools(text)
    offered_tools(json.dumps({"tools": value}))
    read_call_output(text, json.dumps(value), text, TOOLS)
    read_call_output("tool_calls", json.dumps([call("weather", text)]), None, TOOLS)
