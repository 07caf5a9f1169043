"""The official ``anthropic`` client works with the emulator's Messages API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import anthropic
import jsonschema
import pytest

from tests.emulator.conftest import Server, running

OLDER = {"anthropic-version": "2023-06-01"}
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [{"name": name, "input_schema": WEATHER} for name in ("weather", "forecast")]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module", params=("generic", "aimlapi", "openai"))
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An emulator of each profile."""
    with running("--profile", request.param) as server:
        yield server


def connected(server: Server) -> anthropic.Anthropic:
    """A client that is told nothing but where."""
    return anthropic.Anthropic(base_url=server.root, api_key="any", max_retries=0)


@pytest.fixture
def client(served: Server) -> Iterator[anthropic.Anthropic]:
    with connected(served) as one:
        yield one


def asked(client: anthropic.Anthropic, **extra: Any) -> Any:
    """An answer, streamed or not."""
    arguments = {"model": "qwen-plus", "max_tokens": 2000, "messages": HELLO}
    return client.messages.create(**{**arguments, **extra})


def test_answers_in_one_piece(client: anthropic.Anthropic, served: Server) -> None:
    """Text, end and usage arrive in the client's own types, with the request's id."""
    answer = asked(client, system="Be brief.", stop_sequences=["\n\n"])
    (block,) = answer.content
    assert block.type == "text"
    assert (answer.stop_reason, answer.stop_sequence, answer.role) == (
        "end_turn",
        None,
        "assistant",
    )
    assert answer._request_id.startswith("req_")
    row = served.ledger()[-1]
    assert answer.usage.input_tokens == row["prompt_tokens"] - row["cached_tokens"]
    assert answer.usage.output_tokens == row["completion_tokens"]


def test_ends(client: anthropic.Anthropic) -> None:
    """A limit, a stop sequence and a refusal each have their stop_reason."""
    limited = asked(client, max_tokens=3)
    assert (limited.stop_reason, limited.usage.output_tokens) == ("max_tokens", 3)
    word = (
        asked(client, extra_body={"temperature": 0}, extra_headers=OLDER).content[0].text.split()[2]
    )
    stopped = asked(
        client, extra_body={"temperature": 0}, extra_headers=OLDER, stop_sequences=["@@", word]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert word not in stopped.content[0].text
    refused = asked(client, extra_headers={"x-emulator-fault": "refusal"})
    assert (refused.stop_reason, refused.content) == ("refusal", [])
    assert refused.stop_details.explanation
    empty = asked(client, extra_headers={"x-emulator-fault": "empty_text"})
    assert (empty.stop_reason, empty.content) == ("end_turn", [])


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"thinking": THINKING},
        {"thinking": {"type": "adaptive", "display": "omitted"}},
        {"tools": TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": False}},
        {"max_tokens": 3},
        {"extra_headers": {"x-emulator-fault": "refusal"}},
        {"extra_headers": {"x-emulator-fault": "empty_text"}},
    ],
)
def test_streams(client: anthropic.Anthropic, served: Server, extra: dict[str, Any]) -> None:
    """The client's own accumulator makes a message of the events: the one that was billed."""
    arguments: dict[str, Any] = {"model": "qwen-plus", "max_tokens": 2000, "messages": HELLO}
    with client.messages.stream(**{**arguments, **extra}) as stream:
        final = stream.get_final_message()
    row = served.ledger()[-1]
    assert final.usage.output_tokens == row["completion_tokens"]
    assert final.stop_reason is not None
    kinds = {block.type for block in final.content}
    if "thinking" in extra:
        thought = final.content[0]
        assert thought.type == "thinking"
        assert bool(thought.thinking) is ("display" not in extra["thinking"])
        assert thought.signature
    if "tools" in extra:
        assert kinds == {"tool_use"}
        assert len(final.content) == 2
        for block in final.content:
            jsonschema.validate(block.input, WEATHER)  # type: ignore[union-attr]


def test_events_come_in_the_documented_order(served: Server) -> None:
    """A ping follows the first block's start, and every event has its name."""
    body = {"model": "qwen-plus", "max_tokens": 2, "messages": HELLO, "stream": True}
    answer = served.client.post(f"{served.base_url}/messages", json=body, headers=OLDER)
    lines = answer.text.splitlines()
    names = [line[7:] for line in lines if line.startswith("event: ")]
    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [event["type"] for event in data] == names


def test_tools(client: anthropic.Anthropic) -> None:
    """A use has valid input; a named tool is the one used; a result leads to a text."""
    answer = asked(client, tools=TOOLS, tool_choice={"type": "tool", "name": "forecast"})
    (use,) = answer.content
    assert (answer.stop_reason, use.name) == ("tool_use", "forecast")
    assert use.id.startswith("toolu_")
    jsonschema.validate(use.input, WEATHER)
    told = [
        *HELLO,
        answer.to_param(),
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}],
        },
    ]
    assert asked(client, messages=told, tools=TOOLS).content[0].type == "text"
    none = asked(client, tools=TOOLS, tool_choice={"type": "none"})
    assert none.content[0].type == "text"


def test_structured_output(client: anthropic.Anthropic) -> None:
    """JSON by schema is valid for it."""
    form = {"type": "json_schema", "schema": WEATHER}
    answer = asked(client, output_config={"format": form})
    jsonschema.validate(json.loads(answer.content[0].text), WEATHER)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"extra_body": {"seed": 1}}, "seed: Extra inputs are not permitted"),
        ({"extra_body": {"temperature": 1}}, "temperature: Extra inputs are not permitted"),
        ({"extra_body": {"temperature": 2}, "extra_headers": OLDER}, "less than or equal to 1"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
        ({"messages": [{"role": "x", "content": "y"}]}, "messages.0.role: Input should be"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "messages.0.content.0: Input tag 'video' found",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}
                ]
            },
            "unexpected `tool_use_id`",
        ),
        ({"thinking": THINKING, "max_tokens": 1024}, "must be greater than"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "greater than or equal to 1024"),
        (
            {"thinking": THINKING, "extra_body": {"temperature": 0}, "extra_headers": OLDER},
            "may only be set to 1 when thinking is enabled",
        ),
        ({"tool_choice": {"type": "any"}}, "while providing tools"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0"),
        ({"extra_headers": {"anthropic-version": "2020-01-01"}}, "is not a valid version"),
    ],
)
def test_what_is_refused(client: anthropic.Anthropic, extra: dict[str, Any], words: str) -> None:
    """A 400 of the client's own class, in Anthropic's words."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        asked(client, **extra)
    assert caught.value.type == "invalid_request_error"
    assert words in str(caught.value.api_message)


def test_what_every_request_needs(served: Server) -> None:
    """The version's header, the model, the messages and max_tokens."""
    body = {"model": "qwen-plus", "max_tokens": 2, "messages": HELLO}
    url = f"{served.base_url}/messages"
    answer = served.client.post(url, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "anthropic-version: header is required"
    assert answer.json()["request_id"] == answer.headers["request-id"]
    for name in body:
        less = {key: value for key, value in body.items() if key != name}
        answer = served.client.post(url, json=less, headers=OLDER)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == f"{name}: Field required"


def test_errors_are_the_clients_own(client: anthropic.Anthropic) -> None:
    """The client raises its own class for each status, also for an error amid a stream."""
    for fault, raised, kind in (
        ("status=401", anthropic.AuthenticationError, "authentication_error"),
        ("status=403", anthropic.PermissionDeniedError, "permission_error"),
        ("status=429;retry-after=1", anthropic.RateLimitError, "rate_limit_error"),
        ("status=500", anthropic.InternalServerError, "api_error"),
        ("status=529", anthropic.OverloadedError, "overloaded_error"),
    ):
        with pytest.raises(raised) as caught:
            asked(client, extra_headers={"x-emulator-fault": fault})
        assert caught.value.type == kind
        assert str(caught.value.request_id).startswith("req_")
    with pytest.raises(anthropic.APIConnectionError):
        asked(client, extra_headers={"x-emulator-fault": "reset"})
    stream = asked(client, stream=True, extra_headers={"x-emulator-fault": "stream_error"})
    with pytest.raises(anthropic.APIStatusError) as broken:
        list(stream)
    assert broken.value.type == "overloaded_error"


def test_rate_limits_are_told() -> None:
    """Headers say what is left of each limit, and a 429 comes when nothing is."""
    arguments = ("--rpm", "2", "--tpm", "10000", "--limit-retry-after", "int")
    with running(*arguments) as server, connected(server) as client:
        first = client.messages.with_raw_response.create(model="m", max_tokens=5, messages=HELLO)
        prefix = "anthropic-ratelimit-"
        assert first.headers[f"{prefix}requests-limit"] == "2"
        assert first.headers[f"{prefix}requests-remaining"] == "1"
        spent = sum(server.ledger()[-1][f"{name}_tokens"] for name in ("prompt", "completion"))
        assert int(first.headers[f"{prefix}tokens-remaining"]) == 10_000 - spent
        reset = datetime.fromisoformat(first.headers[f"{prefix}requests-reset"])
        assert reset.utcoffset() is not None
        asked(client)
        with pytest.raises(anthropic.RateLimitError) as caught:
            asked(client)
        assert caught.value.response.headers[f"{prefix}requests-remaining"] == "0"
        assert int(caught.value.response.headers["retry-after"]) > 0
        assert server.ledger()[-1]["billed"] is False
