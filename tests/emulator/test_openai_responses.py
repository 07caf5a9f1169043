"""The official ``openai`` client works with the emulator's Responses API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest
from openai.types.responses import ResponseCompletedEvent, ResponseFunctionToolCall

from tests.emulator.conftest import Server, running

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": WEATHER, "strict": True}
    for name in ("weather", "forecast")
]


@pytest.fixture(scope="module", params=("generic", "aimlapi", "openai"))
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An emulator of each profile."""
    with running("--output-tokens", "40", "--profile", request.param) as server:
        yield server


@pytest.fixture
def client(served: Server) -> Iterator[openai.OpenAI]:
    """The client, told nothing but where."""
    with openai.OpenAI(base_url=served.base_url, api_key="any", max_retries=0) as one:
        yield one


def test_answers_in_one_piece(client: openai.OpenAI) -> None:
    """Text, usage, logprobs and what is repeated of the request arrive in the client's types."""
    answer = client.responses.create(
        model="qwen-plus",
        instructions="Be brief.",
        input="Hello",
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        store=False,
    )
    assert (answer.status, answer.instructions, answer.store) == ("completed", "Be brief.", False)
    (message,) = answer.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(token.token for token in part.logprobs) == answer.output_text
    assert {len(token.top_logprobs) for token in part.logprobs} <= {1, 2}
    assert any(len(token.top_logprobs) == 2 for token in part.logprobs)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_streams(client: openai.OpenAI, served: Server) -> None:
    """Events come in order and in number; their pieces are the text of the last."""
    with client.responses.create(
        model="qwen-plus",
        input="Hello",
        stream=True,
        reasoning={"effort": "low", "summary": "auto"},
    ) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))  # type: ignore[union-attr]
    kinds = [event.type for event in events]
    once = list(dict.fromkeys(kinds))
    assert once == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.completed",
    ]
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(pieces) == last.response.output_text
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == served.ledger()[-1]["completion_tokens"]


def test_the_stream_helper(client: openai.OpenAI) -> None:
    """The client's own accumulator takes every event, calls and hidden reasoning included."""
    arguments: dict[str, Any] = {"model": "qwen-plus", "input": "Hello", "temperature": 0}
    for extra in ({}, {"tools": TOOLS, "tool_choice": "required"}):
        whole = client.responses.create(**arguments, **extra)
        reasoning: Any = {"effort": "high"}
        with client.responses.stream(**arguments, **extra, reasoning=reasoning) as stream:
            final = stream.get_final_response()
        assert final.status == whole.status == "completed"
        assert final.output_text == whole.output_text
        names = [item.name for item in final.output if item.type == "function_call"]
        assert names == [item.name for item in whole.output if item.type == "function_call"]
    with client.responses.stream(**arguments, max_output_tokens=16) as stream:
        assert [event.type for event in stream][-1] == "response.incomplete"


def test_a_limit_leaves_a_response_incomplete(client: openai.OpenAI) -> None:
    """The status and its reason say so, and the text ends there."""
    answer = client.responses.create(model="qwen-plus", input="Hello", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 16


def test_tools(client: openai.OpenAI) -> None:
    """A call has valid arguments; the client's own items and a result lead to a text."""
    answer = client.responses.create(
        model="qwen-plus",
        input="Hello",
        tools=TOOLS,
        tool_choice={"type": "function", "name": "forecast"},
    )
    (call,) = answer.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == "forecast"
    jsonschema.validate(json.loads(call.arguments), WEATHER)
    told: list[Any] = [
        {"role": "user", "content": "Hello"},
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    after = client.responses.create(model="qwen-plus", input=told, tools=TOOLS)
    assert after.output_text
    none = client.responses.create(
        model="qwen-plus", input="Hello", tools=TOOLS, tool_choice="none"
    )
    assert none.output_text


def test_structured_output(client: openai.OpenAI) -> None:
    """JSON by schema is valid for it."""
    answer = client.responses.create(
        model="qwen-plus",
        input="Hello",
        text={"format": {"type": "json_schema", "name": "w", "schema": WEATHER, "strict": True}},
    )
    jsonschema.validate(json.loads(answer.output_text), WEATHER)


def test_refusals_and_failures(client: openai.OpenAI) -> None:
    """A refusal is a part; a broken stream says so in its own events."""

    def asked(fault: str, **extra: Any) -> Any:
        return client.responses.create(
            model="qwen-plus", input="Hello", extra_headers={"x-emulator-fault": fault}, **extra
        )

    refused = asked("refusal").output[0]
    assert refused.content[0].type == "refusal"
    assert [event.type for event in asked("refusal", stream=True)].count(
        "response.refusal.done"
    ) == 1
    assert asked("content_filter").incomplete_details.reason == "content_filter"
    assert list(asked("stream_error", stream=True))[-1].type == "error"
    failed = list(asked("stream_failed", stream=True))[-1]
    assert failed.type == "response.failed"
    assert failed.response.error.code == "server_error"


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    """The client raises its own class for each status, with OpenAI's words and parameter."""
    invalid: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"temperature": 9}, "temperature", "integer_above_max_value"),
        ({"extra_body": {"seed": 1}}, "seed", "unknown_parameter"),
        ({"input": [{"role": "x", "content": "y"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "invalid_value"),
        ({"input": []}, "input", "empty_array"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"max_output_tokens": "many"}, "max_output_tokens", "invalid_type"),
    )
    for extra, param, code in invalid:
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(**{"model": "qwen-plus", "input": "Hello", **extra})
        assert (caught.value.param, caught.value.code) == (param, code)
    with pytest.raises(openai.BadRequestError, match="Missing required parameter: 'model'"):
        client.responses.create(input="Hello")
    for fault, raised in (
        ("status=401", openai.AuthenticationError),
        ("status=429;retry-after=1", openai.RateLimitError),
        ("status=503", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ):
        with pytest.raises(raised):
            client.responses.create(
                model="qwen-plus", input="Hello", extra_headers={"x-emulator-fault": fault}
            )


def test_profiles_differ(client: openai.OpenAI, served: Server) -> None:
    """OpenAI hides reasoning and takes no small limit; AI/ML API knows its own models alone."""
    profile = served.process.args[-1]  # type: ignore[index]
    answer = client.responses.create(model="qwen-plus", input="Hello", reasoning={"effort": "low"})
    thought = answer.output[0]
    assert thought.type == "reasoning"
    assert bool(thought.content) is (profile != "openai")
    for arguments, refuses in (
        ({"model": "qwen-plus", "max_output_tokens": 4}, "openai"),
        ({"model": "other"}, "aimlapi"),
    ):
        answer_or_error = served.client.post(
            f"{served.base_url}/responses", json={"input": "Hello", **arguments}
        )
        assert answer_or_error.is_success is (profile != refuses)
