"""One dataset under three protocols, with our own command against the emulator: equal results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalharness.store.folder.run import Run

PROTOCOLS = ("chat", "responses", "messages")
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "shade": {"type": "integer"}},
    "required": ["colour", "shade"],
    "additionalProperties": False,
}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}
ROWS: list[dict[str, Any]] = [
    {"id": "text", "prompt": "Say something about rivers."},
    {
        "id": "turns",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is a lake?"},
            {"role": "assistant", "content": "Water."},
            {"role": "user", "content": [{"type": "text", "text": "And a sea?"}]},
        ],
    },
    {
        "id": "call",
        "prompt": "What is the weather in Paris?",
        "params": {"tools": [WEATHER], "tool_choice": "required"},
    },
    {
        "id": "result",
        "messages": [
            {"role": "user", "content": "What is the weather in Oslo?"},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        "params": {"tools": [WEATHER]},
    },
    {
        "id": "schema",
        "prompt": "Name a colour as JSON.",
        "params": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "colour", "strict": True, "schema": COLOUR},
            }
        },
    },
    {"id": "cut", "prompt": "Tell a long story.", "params": {"max_tokens": 5}},
    {"id": "thought", "prompt": "Think of mountains.", "params": {"reasoning_effort": "low"}},
    *(
        {"id": fault, "prompt": "Anything.", "params": {"extra": {"emulator_fault": fault}}}
        for fault in ("refusal", "content_filter", "empty_text", "status=400;message=bad")
    ),
]
# What a protocol has its own words for, or names by itself.
EQUAL = (
    "prompt_id", "repeat", "status", "text", "reasoning_text", "tool_calls_json", "error_kind",
    "http_status", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens",
    "billed_usd", "temperature", "max_tokens", "reasoning_effort", "n", "seed",
)  # fmt: skip


def command(protocol: str, stream: bool) -> list[str]:
    """A run with an emulator of its own, which gets the requests in the order of the plan."""
    return [
        "run", f"name={protocol}", "provider=emulator", f"provider.protocol={protocol}",
        "dataset.path=rows.jsonl", "sweep=none", "scoring=none", "repeats=2",
        "params.temperature=0.8", "params.max_tokens=90", f"params.stream={stream}",
        "limits.concurrency=1",
    ]  # fmt: skip


def results(run: Path) -> list[dict[str, Any]]:
    """The records of a run; an empty text and none are the same, and so are all ids of calls."""
    rows = Run.open(run).table("records", [*EQUAL]).to_pylist()
    for row in rows:
        row["text"] = row["text"] or None
        calls = json.loads(row["tool_calls_json"] or "[]")
        row["tool_calls_json"] = [call["function"] for call in calls]
    return sorted(rows, key=lambda row: (row["prompt_id"], row["repeat"]))


@pytest.mark.parametrize("stream", [False, True])
def test_equal_results(in_process: Any, tmp_path: Path, stream: bool) -> None:
    """Texts, calls, statuses, tokens, bills and asked parameters; ``compare`` sees no difference."""
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    for protocol in PROTOCOLS:
        done = in_process(*command(protocol, stream))
        assert done.returncode == 1, done.stderr  # the row that fails, fails
    chat, responses, messages = (results(tmp_path / "results" / name) for name in PROTOCOLS)
    assert {row["status"] for row in chat} == {"ok", "truncated", "refused", "empty", "error"}
    assert {row["max_tokens"] for row in chat} == {5, 90}
    assert {row["reasoning_effort"] for row in chat} == {"low", None}
    assert any(row["reasoning_text"] for row in chat)
    assert any(row["tool_calls_json"] for row in chat)
    assert responses == chat
    assert messages == chat
    compared = json.loads(in_process("compare", *PROTOCOLS, "--json").stdout)["comparisons"]
    assert {row["a_run"] for row in compared} == {"responses", "messages"}
    metrics = {"cost_usd", "completion_tokens", "agreement", "error_share"}
    same = [row for row in compared if row["metric"] in metrics]
    assert {row["metric"] for row in same} == metrics
    assert {(row["difference"], row["wins"], row["losses"]) for row in same} == {(0, 0, 0)}
