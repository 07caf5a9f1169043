"""Requests: every property of the OpenAPI is accepted as it is, everything else refused by name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.chat_api.messages import check_messages
from evalharness.chat_api.params import check_params
from evalharness.chat_api.request_body import body_template, build_body
from evalharness.config.models import ModelRules, Profile
from evalharness.errors import ConfigError, DatasetError
from evalharness.parameters import KNOWN_PARAMS
from evalharness.records import Prompt, Setting
from evalharness.store.parts.setting_columns import SentParams

AIMLAPI = Profile(ranges={"top_p": (0.01, 1.0), "seed": (1, None)})
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "adds",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "strict": True,
    },
}
SCHEMA = {"name": "s", "schema": {"type": "object"}, "strict": None, "description": "d"}
EVERYTHING: dict[str, Any] = {
    "max_tokens": 5,
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "parallel_tool_calls": False,
    "temperature": 0,
    "top_p": 0.01,
    "stop": ["a", "b"],
    "frequency_penalty": -2,
    "presence_penalty": 2.0,
    "prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]},
    "seed": 1,
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "n": 2,
    "logprobs": True,
    "top_logprobs": 20,
    "extra": {"enable_thinking": False, "top_k": 5},
}
# Parameters that the first target's OpenAPI does not have.
OTHERS: dict[str, Any] = {
    "max_completion_tokens": 5,
    "top_k": -1,
    "min_p": 0.05,
    "repetition_penalty": 1.1,
    "reasoning_effort": "low",
    "verbosity": "low",
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "metadata": {"team": "a"},
    "user": "u",
    "safety_identifier": "s",
}


def setting(**params: Any) -> Setting:
    return Setting(
        setting_id="s", label="s", provider="p", endpoint="e", model="qwen-plus", params=params
    )


def body_of(params: dict[str, Any], prompt: dict[str, Any] | None = None, **profile: Any) -> Any:
    row = Prompt(prompt_id="p", params=prompt or {})
    messages = [{"role": "user", "content": "hi"}]
    return json.loads(build_body(setting(**params), row, messages, Profile(**profile)))


def test_every_parameter_is_accepted_unchanged() -> None:
    """All properties of the OpenAPI together pass, and come out as they went in."""
    assert check_params(EVERYTHING, AIMLAPI) == EVERYTHING
    assert set(EVERYTHING) | set(OTHERS) == KNOWN_PARAMS


def test_parameters_of_other_apis_are_sent_under_their_own_names() -> None:
    """They need no `extra`; those that had to stand there before may still, but not twice."""
    assert check_params(OTHERS, Profile()) == OTHERS
    assert {k: v for k, v in body_of(OTHERS).items() if k in OTHERS} == OTHERS
    assert body_of({"extra": {"top_k": 5}})["top_k"] == 5
    with pytest.raises(ConfigError, match=r"params\.extra\.top_k` would overwrite"):
        body_of({"top_k": 4, "extra": {"top_k": 5}})


REASONING = Profile(
    refuses={"logprobs": None},
    models=[
        ModelRules(match=["think-*"], refuses={"max_tokens": "max_completion_tokens"}),
        ModelRules(match=["think-mini"], refuses={"temperature": None}, ranges={"n": (1, 1)}),
    ],
)


@pytest.mark.parametrize(
    ("model", "params", "named", "hint"),
    [
        ("think-1", {"max_tokens": 5}, "params.max_tokens", "params.max_completion_tokens"),
        ("THINK-1", {"max_tokens": 5}, "params.max_tokens", "params.max_tokens=null"),
        ("think-mini", {"temperature": 0}, "params.temperature", "params.temperature=null"),
        ("think-mini", {"max_tokens": 5}, "params.max_tokens", "max_completion_tokens"),
        ("plain", {"logprobs": True}, "params.logprobs", "params.logprobs=null"),
        ("think-1", {"extra": {"logprobs": 1}}, "params.extra.logprobs", ""),
    ],
)
def test_what_a_model_refuses_is_refused_before_it_is_sent(
    model: str, params: dict[str, Any], named: str, hint: str
) -> None:
    """The message names parameter and model, the hint what to type instead."""
    with pytest.raises(ConfigError, match=f"`{named}` is refused by {model}") as caught:
        check_params(params, REASONING, model=model)
    assert hint in str(caught.value.hint)


def test_rules_of_other_models_do_not_hold() -> None:
    """A model that no pattern names keeps the profile's own rules; ranges are a model's own too."""
    assert check_params({"max_tokens": 5, "temperature": 0}, REASONING, model="plain")
    assert check_params({"temperature": 0, "n": 2}, REASONING, model="think-1")
    assert check_params({"max_completion_tokens": 5}, REASONING, model="think-mini")
    with pytest.raises(ConfigError, match=r"params\.n"):
        check_params({"n": 2}, REASONING, model="think-mini")
    with pytest.raises(ConfigError, match=r"`sweep\.temperature` is refused"):
        check_params({"temperature": 0}, REASONING, model="think-mini", swept={"temperature"})
    with pytest.raises(ValueError, match="`temprature` is not a parameter"):
        Profile(refuses={"temprature": None})
    with pytest.raises(ValueError, match="`max_token` is not a parameter"):
        ModelRules(match=["a"], refuses={"max_tokens": "max_token"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool_choice", "none"),
        ("tool_choice", "auto"),
        ("tool_choice", "required"),
        ("stop", "x"),
        ("prediction", {"type": "content", "content": "x"}),
        ("response_format", {"type": "text"}),
        ("response_format", {"type": "json_object"}),
        ("temperature", 2),
        ("top_p", 1),
        ("seed", 2**63 - 1),
    ],
)
def test_other_forms(name: str, value: Any) -> None:
    """The other forms a parameter may have pass as well."""
    assert check_params({name: value}, AIMLAPI) == {name: value}


@pytest.mark.parametrize(
    ("params", "named", "said"),
    [
        ({"temperature": 2.01}, "params.temperature", "from 0.0 to 2.0, got 2.01"),
        ({"temperature": "1"}, "params.temperature", "got '1'"),
        ({"temperature": True}, "params.temperature", "got True"),
        ({"temperature": float("nan")}, "params.temperature", "finite"),
        ({"top_p": 0}, "params.top_p", "from 0.01 to 1.0"),
        ({"top_p": float("inf")}, "params.top_p", ""),
        ({"seed": 0}, "params.seed", "at least 1"),
        ({"seed": 1.0}, "params.seed", "whole number"),
        ({"seed": True}, "params.seed", "whole number"),
        ({"seed": 2**63}, "params.seed", "whole number"),
        ({"max_tokens": 0}, "params.max_tokens", "at least 1"),
        ({"n": 0}, "params.n", "at least 1"),
        ({"frequency_penalty": 3}, "params.frequency_penalty", "-2.0 to 2.0"),
        ({"presence_penalty": -3}, "params.presence_penalty", "-2.0 to 2.0"),
        ({"top_logprobs": 3}, "params.top_logprobs", "needs logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "params.top_logprobs", "0 to 20"),
        ({"logprobs": 1}, "params.logprobs", "true or false"),
        ({"stream": "yes"}, "params.stream", "true or false"),
        ({"stream_options": {"include_usage": True}}, "params.stream_options", "streamed"),
        ({"stream": True, "stream_options": {}}, "params.stream_options.include_usage", "missing"),
        ({"stop": list("abcde")}, "params.stop", "at most 4"),
        ({"stop": [1]}, "params.stop[0]", "text"),
        ({"tools": [{"type": "function"}]}, "params.tools[0].function", "missing"),
        ({"tools": [TOOL] * 129}, "params.tools", "at most 128"),
        ({"tools": [TOOL | {"x": 1}]}, "params.tools[0].x", "not a known key"),
        ({"tool_choice": "any"}, "params.tool_choice", "required"),
        ({"response_format": {"type": "xml"}}, "params.response_format.type", "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing"),
        ({"prediction": {"type": "content"}}, "params.prediction.content", "missing"),
        ({"parallel_tool_calls": 0}, "params.parallel_tool_calls", "true or false"),
        ({"temprature": 1}, "params.temprature", "params.temperature"),
        ({"enable_thinking": 1}, "params.enable_thinking", "params.extra.enable_thinking"),
        ({"top_k": 1.5}, "params.top_k", "whole number"),
        ({"extra": {"top_k": "1"}}, "params.extra.top_k", "whole number"),
        ({"reasoning_effort": 1}, "params.reasoning_effort", "a text"),
        ({"metadata": "a"}, "params.metadata", "an object"),
        ({"extra": {"seed": 1}}, "params.extra.seed", "params.seed"),
        ({"extra": {"model": "x"}}, "params.extra.model", "overwrite"),
        ({"extra": {"a": {"b": float("nan")}}}, "params.extra.a.b", "finite"),
        ({"extra": {"a": "\ud800"}}, "params.extra.a", "surrogate"),
        ({"extra": {"a": object()}}, "params.extra.a", "JSON"),
        ({"extra": []}, "params.extra", "object"),
    ],
)
def test_refused_by_name(params: dict[str, Any], named: str, said: str) -> None:
    """A wrong type, shape, range or name stops with the key, the range and a hint."""
    with pytest.raises(ConfigError) as caught:
        check_params(params, AIMLAPI)
    assert named in caught.value.message
    assert said in str(caught.value)


def test_ranges_are_the_profiles() -> None:
    """What one provider refuses, another with wider ranges accepts."""
    wide = Profile(ranges={"seed": (None, None), "temperature": (0.0, 5.0)}, max_stop=None)
    params = {"seed": -1, "temperature": 4.5, "stop": list("abcdef")}
    assert check_params(params, wide) == params


def test_null_is_not_sent() -> None:
    """Nulls are left out, in extra too; overrides checked alone may lean on their setting."""
    assert check_params({"seed": None, "extra": {"a": None, "b": 1}}, AIMLAPI) == {
        "extra": {"b": 1}
    }
    assert check_params({"top_logprobs": 3}, AIMLAPI, partial=True) == {"top_logprobs": 3}


def test_body_is_canonical() -> None:
    """Equal requests are equal bytes, whatever order their keys came in."""
    prompt, messages = Prompt(prompt_id="p"), [{"role": "user", "content": "ü"}]
    one = build_body(setting(seed=1, top_p=0.5), prompt, messages, Profile())
    two = build_body(setting(top_p=0.5, seed=1), prompt, messages, Profile())
    assert one == two
    assert json.loads(one) == {"model": "qwen-plus", "messages": messages, "seed": 1, "top_p": 0.5}


def test_prompt_overrides_setting() -> None:
    """A prompt's parameters lie over the setting's; null removes one; extras are joined."""
    body = body_of({"seed": 1, "n": 2, "extra": {"a": 1, "b": 2}}, {"n": None, "extra": {"b": 3}})
    assert (body["seed"], body["a"], body["b"]) == (1, 1, 3)
    assert "n" not in body
    assert "extra" not in body


def test_stream_usage() -> None:
    """A streamed request asks for usage, unless the user or the profile says otherwise."""
    assert body_of({"stream": True})["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body_of({"stream": True}, stream_usage=False)
    assert "stream_options" not in body_of({"stream": False})
    own = {"include_usage": False}
    assert body_of({"stream": True, "stream_options": own})["stream_options"] == own


@pytest.mark.parametrize(
    ("under", "over"),
    [
        ({"extra": {"temperature": 1}}, {}),
        ({}, {"extra": {"messages": []}}),
        ({"logprobs": True, "top_logprobs": 2}, {"logprobs": None}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": False}),
    ],
)
def test_body_that_contradicts_itself(under: dict[str, Any], over: dict[str, Any]) -> None:
    """Parameters that only clash once laid together are refused when the body is built."""
    with pytest.raises(ConfigError):
        body_of(under, over)


def test_inputs_are_not_changed() -> None:
    """Building a body leaves the setting and the prompt as they were."""
    params = {"stream": True, "extra": {"a": 1}}
    body_of(params)
    assert params == {"stream": True, "extra": {"a": 1}}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    extra=st.dictionaries(
        st.text().filter(lambda key: key not in (*EVERYTHING, "messages", "model")), _VALUES
    ),
    content=st.text(),
    stream=st.booleans(),
)
def test_body_in_its_frame(extra: dict[str, Any], content: str, stream: bool) -> None:
    """Around its messages a body is that of every other prompt under the setting."""
    asked_for = setting(stream=stream, extra=extra, stop=["\0"])
    messages = [{"role": "user", "content": content}]
    whole = build_body(asked_for, Prompt(prompt_id="p"), messages, AIMLAPI)
    assert body_template(asked_for, AIMLAPI).body(messages) == whole


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0.01, 1),
            "seed": st.integers(1, 2**63 - 1),
            "max_tokens": st.integers(1, 10**9),
            "frequency_penalty": st.floats(-2, 2),
            "presence_penalty": st.floats(-2, 2),
            "n": st.integers(1, 10),
            "stream": st.booleans(),
        },
    )
)
def test_sent_params_read_back_what_was_built(params: dict[str, Any]) -> None:
    """The columns of a record say exactly what its body asked for."""
    prompt, messages = Prompt(prompt_id="p"), [{"role": "user", "content": '{"seed":9}'}]
    body = build_body(setting(**check_params(params, AIMLAPI)), prompt, messages, AIMLAPI)
    assert msgspec.json.decode(body, type=SentParams) == SentParams(model="qwen-plus", **params)


CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "be brief", "name": "op"},
    {"role": "user", "content": [{"type": "text", "text": "2+2?"}], "name": "ann"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "content": "4", "tool_call_id": "1", "name": None},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": None},
    {"role": "assistant", "content": "4", "refusal": "no", "name": "bot"},
]


def test_all_roles_pass_unchanged() -> None:
    """Four roles, texts and parts, tool calls and refusals come through as they are."""
    assert check_messages(CONVERSATION, where="a.jsonl:1") is CONVERSATION


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([], "messages"),
        ("hi", "messages"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": 3}], "messages[0].content"),
        ([{"role": "user", "content": "\ud800"}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": "x", "nmae": "y"}], "messages[0].nmae"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "content": [], "tool_call_id": "1"}], "messages[0].content"),
        ([{"role": "assistant"}], "messages[0].content"),
        ([{"role": "assistant", "tool_calls": [{}]}], "messages[0].tool_calls[0].id"),
        ([CONVERSATION[0], 7], "messages[1]"),
    ],
)
def test_bad_messages_name_their_place(messages: Any, named: str) -> None:
    """A broken message names the row, its index and the key."""
    with pytest.raises(DatasetError) as caught:
        check_messages(messages, where="a.jsonl:7")
    assert caught.value.message.startswith("a.jsonl:7: ")
    assert f"`{named}" in caught.value.message
