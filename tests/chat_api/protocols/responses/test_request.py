"""Requests of the Responses API: every parameter is sent or refused with a reason, no third way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.chat_api.messages import check_messages
from evalharness.chat_api.params import check_params
from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.request_body import build_body
from evalharness.config.models import Profile
from evalharness.errors import ConfigError, DatasetError
from evalharness.parameters import PARAMETERS
from evalharness.records import Prompt, Setting

PROTOCOL = get_protocol("responses")
FUNCTION = {"name": "add", "description": "adds", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": FUNCTION}
FORMAT = {"name": "s", "schema": {"type": "object"}, "strict": True, "description": "d"}
OBFUSCATION = {"include_usage": True, "include_obfuscation": False}
HELLO = [{"role": "user", "content": "Hello"}]

CALL: dict[str, Any] = {
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
}
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "Q"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "1", "name": "f"},
    {"role": "assistant", "content": "A", "tool_calls": [{**CALL, "id": "c2"}]},
    {"role": "tool", "tool_call_id": "c2", "content": "2"},
    {"role": "developer", "content": [{"type": "text", "text": "D"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "B"}]},
    {"role": "assistant", "content": "C", "refusal": "no"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    {"role": "assistant", "content": ""},
]
IMAGE = {"url": "https://example.org/a.png"}
FILE = {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}
PARTS: list[dict[str, Any]] = [
    {"type": "text", "text": "T"},
    {"type": "image_url", "image_url": IMAGE},
    {"type": "image_url", "image_url": {**IMAGE, "detail": "low"}},
    {"type": "file", "file": FILE},
    {"type": "file", "file": {"file_id": "file-1"}},
]
# What the body has of a parameter, besides what every body has.
SENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 0}, {"temperature": 0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"max_tokens": 50}, {"max_output_tokens": 50}),
    ({"max_completion_tokens": 50}, {"max_output_tokens": 50}),
    ({"max_tokens": 50, "max_completion_tokens": 50}, {"max_output_tokens": 50}),
    ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    ({"verbosity": "high"}, {"text": {"verbosity": "high"}}),
    ({"n": 1}, {}),
    ({"logprobs": False}, {}),
    ({"logprobs": True}, {"include": ["message.output_text.logprobs"]}),
    (
        {"logprobs": True, "top_logprobs": 3},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
    ),
    ({"stream": True}, {"stream": True}),
    ({"stream": False}, {"stream": False}),
    ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    (
        {"stream": True, "stream_options": OBFUSCATION},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
    ),
    ({"tools": [TOOL]}, {"tools": [{"type": "function", **FUNCTION, "strict": False}]}),
    (
        {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]},
        {"tools": [{"type": "function", **FUNCTION, "strict": True}]},
    ),
    ({"tool_choice": "required"}, {"tool_choice": "required"}),
    (
        {"tool_choice": {"type": "function", "function": {"name": "add"}}},
        {"tool_choice": {"type": "function", "name": "add"}},
    ),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"response_format": {"type": "text"}}, {"text": {"format": {"type": "text"}}}),
    ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    (
        {
            "response_format": {"type": "json_schema", "json_schema": FORMAT},
            "verbosity": "low",
        },
        {"text": {"format": {"type": "json_schema", **FORMAT}, "verbosity": "low"}},
    ),
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
    ({"user": "u"}, {"user": "u"}),
    ({"safety_identifier": "s"}, {"safety_identifier": "s"}),
    ({"extra": {"store": True}}, {"store": True}),
    ({"extra": {"truncation": "auto", "top_k": 5}}, {"truncation": "auto", "top_k": 5}),
    ({"extra": {"service_tier": "flex"}}, {"service_tier": "flex"}),
    # No fields of the API, but of servers that speak it: vLLM has both.
    ({"extra": {"seed": 3, "stop": ["a"]}}, {"seed": 3, "stop": ["a"]}),
    ({"extra": {"reasoning": {"summary": "auto"}}}, {"reasoning": {"summary": "auto"}}),
    (
        {"reasoning_effort": "low", "extra": {"reasoning": {"summary": "auto"}}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ),
    (
        {"logprobs": True, "extra": {"include": ["reasoning.encrypted_content"]}},
        {"include": ["message.output_text.logprobs", "reasoning.encrypted_content"]},
    ),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "has no seed"),
    ({"stop": ["a"]}, "has no stop sequences"),
    ({"frequency_penalty": 0.5}, "has no penalties"),
    ({"presence_penalty": 0.5}, "has no penalties"),
    ({"repetition_penalty": 1.1}, "has no penalties"),
    ({"top_k": 5}, "has no top_k"),
    ({"min_p": 0.1}, "has no min_p"),
    ({"thinking": {"type": "enabled"}}, "reasoning_effort"),
    ({"n": 2}, "one answer a request"),
    ({"prediction": {"type": "content", "content": "x"}}, "has no predicted outputs"),
    ({"max_tokens": 50, "max_completion_tokens": 60}, "both are max_output_tokens"),
    ({"stream": True, "stream_options": {"include_usage": False}}, "cannot be false"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "s"}}}, "is missing"),
    ({"extra": {"previous_response_id": "resp_1"}}, "no record holds"),
    ({"extra": {"conversation": "conv_1"}}, "no record holds"),
    ({"extra": {"background": True}}, "not fetched later"),
    ({"extra": {"input": "x"}}, "would overwrite the messages"),
    ({"extra": {"max_output_tokens": 5}}, "is the field that a parameter becomes"),
    ({"extra": {"max_completion_tokens": 5}}, "is no field of the Responses API"),
    ({"extra": {"reasoning_effort": "low"}}, "is no field of the Responses API"),
    ({"extra": {"verbosity": "low"}}, "is no field of the Responses API"),
    ({"extra": {"reasoning": {"effort": "low"}}}, "is the field that a parameter becomes"),
    ({"extra": {"reasoning": "low"}}, "must be an object"),
    ({"extra": {"text": {"format": {}}}}, "is the field that a parameter becomes"),
    ({"extra": {"text": {"verbosity": "low"}}}, "is the field that a parameter becomes"),
    ({"extra": {"include": ["message.output_text.logprobs"]}}, "holds message.output_text"),
    ({"extra": {"include": "x"}}, "must be a list"),
    ({"extra": {"seed": "x"}}, "must be a whole number"),
    ({"extra": {"n": 2}}, "would overwrite a known field"),
    ({"extra": {"service_tier": "flex"}, "service_tier": "flex"}, "overwrite"),
]


def body(
    params: dict[str, Any],
    messages: list[dict[str, Any]] | None = None,
    row: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a request whose parameters and messages were checked, as a run checks them."""
    messages = messages or HELLO
    sent = check_params(params, Profile(), protocol=PROTOCOL)
    check_params(row or {}, Profile(), protocol=PROTOCOL, partial=True)
    check_messages(messages, where="d:1", protocol=PROTOCOL)
    setting = Setting(setting_id="s", label="s", provider="p", endpoint="e", model="m", params=sent)
    prompt = Prompt(prompt_id="1", messages=messages, params=row or {})
    return json.loads(build_body(setting, prompt, messages, Profile(), PROTOCOL))


@pytest.mark.parametrize(("params", "expected"), SENT)
def test_a_parameter_is_sent(params: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each under its field, and nothing else beside what every body has."""
    message = {"type": "message", "role": "user", "content": "Hello"}
    always = {"model": "m", "store": False, "input": [message]}
    assert body(params) == always | expected


@pytest.mark.parametrize(("params", "reason"), REFUSED)
def test_a_parameter_is_refused_with_the_reason(params: dict[str, Any], reason: str) -> None:
    """By name, before anything is sent; also where it comes with a row of the dataset."""
    with pytest.raises(ConfigError, match=reason):
        body(params)
    with pytest.raises(ConfigError, match=reason):
        body({}, row=params)


def test_every_parameter_is_sent_or_refused() -> None:
    """The table of parameters has none that is forgotten here."""
    sent = {name for params, fields in SENT for name in params if fields}
    refused = {name for params, _ in REFUSED for name in params}
    assert {p.name for p in PARAMETERS} <= sent | refused


def test_a_refusal_says_what_to_type() -> None:
    """What is swept is called so; a server that knows the field gets it as an extra one."""
    with pytest.raises(ConfigError) as swept:
        check_params({"seed": 1}, Profile(), protocol=PROTOCOL, swept=["seed"])
    assert swept.value.message.startswith("`sweep.seed` cannot be sent")
    assert (swept.value.hint or "").startswith("leave it out: sweep.seed=null")
    assert "gets it by sweep.extra.seed" in (swept.value.hint or "")
    with pytest.raises(ConfigError) as known:
        check_params({"top_k": 1}, Profile(), protocol=PROTOCOL)
    assert "params.extra.top_k" in (known.value.hint or "")


def test_limits_of_a_setting_and_a_row_must_agree() -> None:
    """What is valid alone is refused together."""
    with pytest.raises(ConfigError, match="both are max_output_tokens"):
        body({"max_tokens": 50}, row={"max_completion_tokens": 60})
    row = {"max_completion_tokens": 60, "max_tokens": None}
    assert body({"max_tokens": 50}, row=row)["max_output_tokens"] == 60


def test_a_conversation_becomes_items() -> None:
    """Roles and order stay; calls and their outputs are items of their own."""
    text = {"type": "output_text", "annotations": []}
    refusal = {"type": "refusal", "refusal": "no"}
    items: list[dict[str, Any]] = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1", "name": "f"},
        {"role": "assistant", "content": "A"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": "2"},
        {"role": "developer", "content": [{"type": "input_text", "text": "D"}]},
        {"role": "assistant", "content": [{**text, "text": "B"}]},
        {"role": "assistant", "content": [{**text, "text": "C"}, refusal]},
        {"role": "assistant", "content": [refusal]},
        {"role": "assistant", "content": ""},
    ]
    assert body({}, CONVERSATION)["input"] == [{"type": "message", **item} for item in items]


def test_parts_of_a_prompt() -> None:
    """Texts, images and files have a part of their own; the detail of an image is required."""
    assert body({}, [{"role": "user", "content": PARTS}])["input"][0]["content"] == [
        {"type": "input_text", "text": "T"},
        {"type": "input_image", "image_url": IMAGE["url"], "detail": "auto"},
        {"type": "input_image", "image_url": IMAGE["url"], "detail": "low"},
        {"type": "input_file", **FILE},
        {"type": "input_file", "file_id": "file-1"},
    ]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"role": "user", "content": "x", "name": "Ada"}, r"messages\[0\]\.name"),
        (
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "T"},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                ],
            },
            r"messages\[0\]\.content\[1\]",
        ),
    ],
)
def test_a_message_without_a_form_is_refused(message: dict[str, Any], place: str) -> None:
    """With its place, and the protocol that has the form."""
    with pytest.raises(DatasetError, match=rf"d:1: `{place}` cannot be sent") as error:
        body({}, [message])
    assert "provider.protocol=chat" in (error.value.hint or "")
