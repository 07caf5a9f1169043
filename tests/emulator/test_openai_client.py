"""The official ``openai`` client works against the emulator, in every profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest

from tests.emulator.conftest import Server, running

PROFILES = ("generic", "aimlapi", "openai")
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": WEATHER}}
    for name in ("weather", "forecast")
]
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}


@pytest.fixture(scope="module", params=PROFILES)
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An emulator of each profile."""
    with running("--profile", request.param) as server:
        yield server


@pytest.fixture
def client(served: Server) -> Iterator[openai.OpenAI]:
    """The client, told nothing but where."""
    with openai.OpenAI(base_url=served.base_url, api_key="any", max_retries=0) as one:
        yield one


def test_answers_in_one_piece(client: openai.OpenAI) -> None:
    """Text, usage, choices and logprobs arrive in the client's own types."""
    answer = client.chat.completions.create(
        model="qwen-plus", messages=HELLO, n=3, seed=1, logprobs=True, top_logprobs=2
    )
    assert len(answer.choices) == 3
    for choice in answer.choices:
        assert choice.finish_reason == "stop"
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        joined = b"".join(bytes(token.bytes or []) for token in choice.logprobs.content)
        assert joined.decode() == choice.message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_streams(client: openai.OpenAI) -> None:
    """A stream joined is the answer in one piece, with its usage last."""
    whole = client.chat.completions.create(model="qwen-plus", messages=HELLO, seed=2)
    pieces: list[str] = []
    usage = None
    for chunk in client.chat.completions.create(
        model="qwen-plus",
        messages=HELLO,
        seed=2,
        stream=True,
        stream_options={"include_usage": True},
    ):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage
    assert "".join(pieces) == whole.choices[0].message.content
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_the_stream_helper(client: openai.OpenAI) -> None:
    """The client's own accumulator makes the same completion of a stream, tool calls included."""
    arguments: dict[str, Any] = {"model": "qwen-plus", "messages": HELLO, "seed": 3}
    for extra in ({}, {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": True}):
        whole = client.chat.completions.create(**arguments, **extra).choices[0]
        with client.chat.completions.stream(**arguments, **extra) as stream:
            final = stream.get_final_completion().choices[0]
        assert (final.message.content or "") == (whole.message.content or "")
        assert final.finish_reason == whole.finish_reason
        calls = [call.function for call in final.message.tool_calls or []]
        expected = [call.function for call in whole.message.tool_calls or []]  # type: ignore[union-attr]
        assert [(c.name, c.arguments) for c in calls] == [(c.name, c.arguments) for c in expected]


def test_tools(client: openai.OpenAI) -> None:
    """A call has valid arguments; a named tool is the one called; a tool's answer ends calling."""
    answer = client.chat.completions.create(model="qwen-plus", messages=HELLO, tools=TOOLS)
    (call,) = answer.choices[0].message.tool_calls or []
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    jsonschema.validate(json.loads(call.function.arguments), WEATHER)
    named = client.chat.completions.create(
        model="qwen-plus",
        messages=HELLO,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "forecast"}},
    )
    (chosen,) = named.choices[0].message.tool_calls or []
    assert chosen.type == "function"
    assert chosen.function.name == "forecast"
    told: list[Any] = [
        *HELLO,
        {"role": "assistant", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    after = client.chat.completions.create(model="qwen-plus", messages=told, tools=TOOLS)
    assert after.choices[0].message.content
    none = client.chat.completions.create(
        model="qwen-plus", messages=HELLO, tools=TOOLS, tool_choice="none"
    )
    assert not none.choices[0].message.tool_calls


def test_structured_output(client: openai.OpenAI) -> None:
    """JSON by schema is valid for it, and differs between draws but not at temperature 0."""
    drawn: dict[float, set[str]] = {0.0: set(), 1.5: set()}
    for temperature, texts in drawn.items():
        for _ in range(12):
            answer = client.chat.completions.create(
                model="qwen-plus",
                messages=HELLO,
                response_format=FORMAT,
                temperature=temperature,
            )
            text = answer.choices[0].message.content
            assert text is not None
            jsonschema.validate(json.loads(text), WEATHER)
            texts.add(text)
    assert len(drawn[0.0]) == 1
    assert len(drawn[1.5]) > 1
    free = client.chat.completions.create(
        model="qwen-plus", messages=HELLO, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(free.choices[0].message.content or ""), dict)


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    """The client raises its own class for each status, with the words of the API."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="qwen-plus", messages=HELLO, temperature=9)
    # The client reads no problem+json, so the words are looked for in the response itself.
    assert "Body validation error" in caught.value.response.text
    for fault, raised in (
        ("status=401", openai.AuthenticationError),
        ("status=429;retry-after=1", openai.RateLimitError),
        ("status=503", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ):
        with pytest.raises(raised):
            client.chat.completions.create(
                model="qwen-plus", messages=HELLO, extra_headers={"x-emulator-fault": fault}
            )


def test_models(client: openai.OpenAI) -> None:
    """The client lists the models."""
    assert "qwen-plus" in {model.id for model in client.models.list()}


def test_openais_further_rules(served: Server) -> None:
    """Only profile openai refuses what OpenAI's schema allows and OpenAI does not."""
    for body in (
        {"messages": []},
        {"top_logprobs": 2},
        {"n": 129},
        {"stop": list("abcde")},
        {"tool_choice": "auto"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
    ):
        refused = served.post(**body).status_code == 400
        assert refused is ("openai" in str(served.process.args)), body
