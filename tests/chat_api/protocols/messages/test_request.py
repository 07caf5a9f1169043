"""Bodies of Messages requests: each parameter and message is said, or refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.chat_api.messages import check_messages
from evalharness.chat_api.params import check_params
from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.protocols.messages.request import REFUSED
from evalharness.chat_api.request_body import build_body
from evalharness.config.models import Profile
from evalharness.errors import ConfigError, DatasetError
from evalharness.parameters import PARAMETERS
from evalharness.records import Prompt, Setting
from tests.chat_api.protocols.messages.samples import MESSAGES

PROFILE = Profile(max_stop=None)
USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
}
CACHED = {"type": "ephemeral", "ttl": "1h"}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
TINY_PNG = "iVBORw0KGgo="

#: A value of each parameter and the fields that it becomes; what has none is said by default.
MAPPED: dict[str, tuple[Any, dict[str, Any]]] = {
    "temperature": (0.5, {"temperature": 0.5}),
    "top_p": (0.9, {"top_p": 0.9}),
    "top_k": (40, {"top_k": 40}),
    "max_tokens": (100, {"max_tokens": 100}),
    "max_completion_tokens": (100, {"max_tokens": 100}),
    "stop": ("END", {"stop_sequences": ["END"]}),
    "reasoning_effort": ("xhigh", {"output_config": {"effort": "xhigh"}}),
    "thinking": (
        {"type": "enabled", "budget_tokens": 1024},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
    "n": (1, {}),
    "logprobs": (False, {}),
    "stream": (True, {"stream": True}),
    "tools": (
        [TOOL],
        {"tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}]},
    ),
    "tool_choice": ("required", {"tool_choice": {"type": "any"}}),
    "parallel_tool_calls": (
        False,
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "response_format": (
        FORMAT,
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "service_tier": ("standard_only", {"service_tier": "standard_only"}),
    "metadata": ({"user_id": "u"}, {"metadata": {"user_id": "u"}}),
    "user": ("u", {"metadata": {"user_id": "u"}}),
}
#: A valid value of each parameter that is refused.
REFUSED_VALUES: dict[str, Any] = {
    "seed": 1, "frequency_penalty": 0.5, "presence_penalty": 0.5, "repetition_penalty": 1.1,
    "min_p": 0.1, "verbosity": "low", "top_logprobs": 2, "stream_options": {"include_usage": True},
    "prediction": {"type": "content", "content": "x"}, "prompt_cache_key": "k",
    "safety_identifier": "s",
}  # fmt: skip
_BESIDE: dict[str, dict[str, Any]] = {
    "tool_choice": {"tools": [TOOL]},
    "parallel_tool_calls": {"tools": [TOOL]},
    "max_completion_tokens": {"max_tokens": None},
    "thinking": {"max_tokens": 2000},
    "top_logprobs": {"logprobs": True},
    "stream_options": {"stream": True},
}


def body(
    params: dict[str, Any] | None = None, messages: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The body of a request, after all checks of a plan."""
    conversation = messages or [USER]
    check_messages(conversation, where="row", protocol=MESSAGES)
    checked = check_params({"max_tokens": 10} | (params or {}), PROFILE, protocol=MESSAGES)
    setting = Setting(
        setting_id="s", label="s", provider="p", endpoint="e", model="claude", params=checked
    )
    return json.loads(build_body(setting, Prompt(prompt_id="p"), conversation, PROFILE, MESSAGES))


def test_every_parameter_is_said_or_refused_with_a_reason() -> None:
    """The table of parameters is covered, and what is refused says why and what to do."""
    names = {parameter.name for parameter in PARAMETERS}
    assert names == MAPPED.keys() | REFUSED.keys()
    assert not MAPPED.keys() & REFUSED.keys()
    assert REFUSED_VALUES.keys() == REFUSED.keys()


@pytest.mark.parametrize("name", MAPPED)
def test_mapped(name: str) -> None:
    value, expected = MAPPED[name]
    beside = _BESIDE.get(name, {})
    plain = body({key: other for key, other in beside.items() if other is not None})
    assert body({**beside, name: value}) == plain | expected


@pytest.mark.parametrize("name", REFUSED_VALUES)
@pytest.mark.parametrize("partial", [False, True])
def test_refused(name: str, partial: bool) -> None:
    params = {"max_tokens": 10, **_BESIDE.get(name, {}), name: REFUSED_VALUES[name]}
    with pytest.raises(
        ConfigError, match=f"`sweep.{name}` cannot be sent: the Messages API"
    ) as caught:
        check_params(params, PROFILE, protocol=MESSAGES, swept=[name], partial=partial)
    assert f"leave it out: sweep.{name}=null" in (caught.value.hint or "")


def test_plain_body() -> None:
    assert body({"extra": {"cache_control": {"type": "ephemeral"}}}) == {
        "model": "claude",
        "max_tokens": 10,
        "messages": [USER],
        "cache_control": {"type": "ephemeral"},
    }
    # No field of the API, but perhaps of another server that speaks it.
    assert body({"extra": {"seed": 3}})["seed"] == 3
    with pytest.raises(ConfigError, match=r"extra.temperature` would overwrite"):
        body({"extra": {"temperature": 1}})
    with pytest.raises(ConfigError, match=r"extra.seed` would overwrite"):
        check_params({"extra": {"seed": 3}}, PROFILE, protocol=get_protocol("chat"))
    assert get_protocol("messages").path == "/messages"
    assert MESSAGES.headers == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, {"type": "auto"}),
        ("auto", True, {"type": "auto", "disable_parallel_tool_use": False}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", None, {"type": "none"}),
        (
            {"type": "function", "function": {"name": "f"}},
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, expected: dict[str, Any]) -> None:
    params = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": parallel}
    assert body(params)["tool_choice"] == expected


def test_effort_and_format_share_one_field() -> None:
    config = body({"reasoning_effort": "low", "response_format": FORMAT})["output_config"]
    assert config == {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    assert "output_config" not in body({"response_format": {"type": "text"}})


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"max_tokens": None}, "`params.max_tokens` is missing"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "differs from max_tokens"),
        ({"n": 2}, "one answer a request"),
        ({"logprobs": True}, "no log probabilities"),
        ({"reasoning_effort": "none"}, "must be one of low"),
        ({"service_tier": "flex"}, "must be auto or standard_only"),
        ({"response_format": {"type": "json_object"}}, "no JSON mode"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "json_schema.schema` is missing",
        ),
        (
            {
                "response_format": {
                    **FORMAT,
                    "json_schema": {"name": "x", "schema": {}, "strict": False},
                }
            },
            "strict` cannot be false",
        ),
        (
            {
                "response_format": {
                    **FORMAT,
                    "json_schema": {"name": "x", "schema": {}, "description": "d"},
                }
            },
            "no description of a format",
        ),
        ({"metadata": {"team": "a"}}, "has user_id only"),
        ({"metadata": {"user_id": 3}}, "must be a text"),
        ({"metadata": {"user_id": "a"}, "user": "b"}, "differs from metadata.user_id"),
        ({"tool_choice": "auto"}, "tool_choice` needs tools"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls` needs tools"),
        (
            {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
            "cannot be sent with tool_choice=none",
        ),
        ({"thinking": {"budget_tokens": 5}}, "thinking.type` is missing"),
        ({"thinking": {"type": "enabled"}}, "at least 1024, got None"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "at least 1024, got 1000"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be less than max_tokens"),
        ({"thinking": {"type": "adaptive"}, "temperature": 0.0}, "must be 1 where the model"),
        ({"thinking": {"type": "adaptive"}, "top_k": 5}, "cannot be sent where the model thinks"),
        ({"thinking": {"type": "adaptive"}, "top_p": 0.5}, "must be 0.95 to 1"),
        (
            {
                "max_tokens": 5000,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "tools": [TOOL],
                "tool_choice": "required",
            },
            "must be auto or none where the model thinks",
        ),
        ({"extra": {"system": "x"}}, "would overwrite a field"),
        ({"extra": {"stop_sequences": ["x"]}}, "would overwrite a field"),
        ({"extra": {"reasoning_effort": "low"}}, "would go unchanged into the body"),
        ({"extra": {"max_completion_tokens": 3}}, "would go unchanged into the body"),
    ],
)
def test_what_cannot_be_said(params: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        body({"max_tokens": 2000} | params)
    assert problem in caught.value.message
    assert caught.value.hint


def test_what_goes_with_thinking() -> None:
    plain = {"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert body({**plain, "temperature": 1, "top_p": 0.95, "tools": [TOOL], "tool_choice": "auto"})
    # Between tool calls the budget is of all of them.
    budget = {"type": "enabled", "budget_tokens": 9000}
    assert body({**plain, "thinking": budget, "tools": [TOOL]})["thinking"] == budget
    assert body({"thinking": {"type": "disabled"}, "temperature": 0.2, "top_k": 5})


def test_prompt_overrides_are_checked_together() -> None:
    """A prompt that takes the limit away is refused as a whole."""
    checked = check_params({"max_tokens": 5}, PROFILE, protocol=MESSAGES)
    setting = Setting(
        setting_id="s", label="s", provider="p", endpoint="e", model="m", params=checked
    )
    prompt = Prompt(prompt_id="row 7", params={"max_tokens": None})
    with pytest.raises(ConfigError, match=r"row 7.*max_tokens` is missing"):
        build_body(setting, prompt, [USER], PROFILE, MESSAGES)


def test_cache_control_is_passed_on() -> None:
    part = {"type": "text", "text": "long", "cache_control": CACHED}
    sent = body(
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
        [{"role": "system", "content": [part]}, {"role": "user", "content": [part]}],
    )
    assert sent["system"] == [part]
    assert sent["messages"] == [{"role": "user", "content": [part]}]
    assert sent["tools"][0]["cache_control"] == {"type": "ephemeral"}


def test_cache_control_is_refused_where_it_cannot_be_said() -> None:
    chat = get_protocol("chat")
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": CACHED}]}
    ]
    with pytest.raises(
        DatasetError, match=r"messages\[0\].content\[0\].cache_control.*no cache_control"
    ):
        check_messages(messages, where="row 1", protocol=chat)
    tools = [{**TOOL, "cache_control": CACHED}]
    with pytest.raises(ConfigError, match=r"params.tools\[0\].cache_control"):
        check_params({"tools": tools}, PROFILE, protocol=chat)
    messages[0]["content"][0]["cache_control"] = {"type": "forever"}
    with pytest.raises(DatasetError, match=r"cache_control.type"):
        check_messages(messages, where="row 1", protocol=MESSAGES)


def _data_uri(kind: str, data: str) -> str:
    return f"data:{kind};base64,{data}"


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look:"},
            {
                "type": "image_url",
                "image_url": {"url": _data_uri("image/PNG", TINY_PNG), "detail": "auto"},
                "cache_control": CACHED,
            },
            {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}},
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": _data_uri("application/pdf", "JVBERi0="),
                },
            },
            {"type": "file", "file": {"file_data": _data_uri("text/plain", "SMOkbGxv")}},
            {"type": "file", "file": {"file_id": "file_1"}},
        ],
    },
    {"role": "user", "content": "What is it?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "t1", "content": "one", "name": "f"},
    {"role": "tool", "tool_call_id": "t2", "content": "two"},
    {"role": "system", "content": "Answer in German."},
    {"role": "assistant", "content": "It is"},
]


def test_conversation() -> None:
    """Every kind of message and part, and the beginning of the answer at the end."""
    sent = body(messages=CONVERSATION)
    assert sent["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "And kind."},
    ]
    picture = {"type": "base64", "media_type": "image/png", "data": TINY_PNG}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    text = {"type": "text", "media_type": "text/plain", "data": "Hällo"}
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image", "source": picture, "cache_control": CACHED},
                {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
                {"type": "document", "source": pdf, "title": "a.pdf"},
                {"type": "document", "source": text},
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            ],
        },
        {"role": "user", "content": "What is it?"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "t2", "content": "two"},
            ],
        },
        {"role": "system", "content": "Answer in German."},
        {"role": "assistant", "content": "It is"},
    ]
    one = body(messages=[{"role": "developer", "content": "Be brief."}, USER])
    assert (one["system"], one["messages"]) == ("Be brief.", [USER])


def _call(arguments: str) -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    call = {"id": "t", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "system", "content": "x"}], "holds instructions alone"),
        (
            [USER, {"role": "assistant", "content": "a"}, {"role": "system", "content": "x"}],
            "messages[2]` is a system message where",
        ),
        ([USER, {"role": "developer", "content": "x"}, USER], "messages[1]` is a developer"),
        (
            [USER, {"role": "system", "content": "x"}, {"role": "system", "content": "y"}],
            "messages[1]` is a system message where",
        ),
        ([{**USER, "name": "Ann"}], "no names of participants"),
        ([USER, _call("{}"), {"role": "tool", "tool_call_id": "t", "content": "", "name": "g"}],
         "messages[2].name"),
        ([USER, _call('{"a":')], "tool_calls[0].function.arguments` must be a JSON object"),
        ([USER, _call("[1]")], "must be a JSON object"),
        ([USER, _call("")], "must be a JSON object"),
        ([USER, {"role": "assistant", "refusal": "no"}, USER], "no refusals"),
        (
            [USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "n"}]}],
            "content[0]` cannot be sent",
        ),
        (
            [{"role": "user", "content": [
                {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}]}],
            "is a recording",
        ),
        (
            [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://a.example", "detail": "low"}}]}],
            "no detail of an image",
        ),
        (
            [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": _data_uri("image/tiff", "x")}}]}],
            "is image/tiff",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "JVBERi0="}}]}],
            "must be a data URI of application/pdf",
        ),
        (
            [{"role": "user", "content": [
                {"type": "file", "file": {"file_data": _data_uri("text/plain", "????")}}]}],
            "no base64 of a UTF-8 text",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {
                "file_data": _data_uri("text/plain", ""), "file_id": "f"}}]}],
            "both file_data and file_id",
        ),
    ],
)  # fmt: skip
def test_messages_that_cannot_be_said(messages: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(DatasetError) as caught:
        check_messages(messages, where="rows.jsonl:3", protocol=MESSAGES)
    assert caught.value.message.startswith("rows.jsonl:3: ")
    assert problem in caught.value.message
