"""Parameters: under which field of a Responses body each is sent, or why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from evalharness.chat_api.json_checks import ShapeError, type_mismatch
from evalharness.chat_api.params import remedy
from evalharness.parameters import OUTPUT_LIMITS

#: Fields of a body that a parameter of another name becomes; those in objects by their path.
BODY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "max_output_tokens": "max_tokens",
        "reasoning.effort": "reasoning_effort",
        "text.format": "response_format",
        "text.verbosity": "verbosity",
        "include": "logprobs",
    }
)
#: Objects and lists of a body to which ``params.extra`` may add.
SHARED_FIELDS = frozenset({"reasoning", "text", "include"})

_LOGPROBS = "message.output_text.logprobs"
_SAME_NAMES = (
    "temperature", "top_p", "top_logprobs", "stream", "parallel_tool_calls", "service_tier",
    "prompt_cache_key", "metadata", "user", "safety_identifier",
)  # fmt: skip
#: Parameters that no field of the API stands for, with the reason.
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "seed": "has no seed: equal requests may be answered differently",
        "stop": "has no stop sequences",
        "frequency_penalty": "has no penalties",
        "presence_penalty": "has no penalties",
        "repetition_penalty": "has no penalties",
        "top_k": "has no top_k",
        "min_p": "has no min_p",
        "thinking": "has no field of this name: its models are told by reasoning_effort",
        "prediction": "has no predicted outputs",
    }
)


class _ExtraRule(NamedTuple):
    problem: str
    hint: str


_MAPPED = "is the field that a parameter becomes"
_HIDDEN_STATE = _ExtraRule(
    "would let an answer depend on what the server has stored, which no record holds",
    "put the earlier turns into the messages of the row",
)
_EXTRA_RULES: Mapping[str, _ExtraRule] = MappingProxyType(
    {
        "input": _ExtraRule("would overwrite the messages", "messages come from the dataset"),
        "previous_response_id": _HIDDEN_STATE,
        "conversation": _HIDDEN_STATE,
        "max_output_tokens": _ExtraRule(_MAPPED, "set params.max_tokens"),
        "max_completion_tokens": _ExtraRule(
            "is no field of the Responses API", "set params.max_completion_tokens"
        ),
        "reasoning_effort": _ExtraRule(
            "is no field of the Responses API", "set params.reasoning_effort"
        ),
        "verbosity": _ExtraRule("is no field of the Responses API", "set params.verbosity"),
    }
)
# Keys of objects in `extra` that a parameter becomes.
_MAPPED_KEYS = {
    ("reasoning", "effort"): "set params.reasoning_effort",
    ("text", "format"): "set params.response_format",
    ("text", "verbosity"): "set params.verbosity",
}


def check_request(params: Mapping[str, Any], where: str) -> None:
    """Refuse what the API has no field for.

    Args:
        params: by name, each valid in itself.
        where: how they are called in messages.

    Raises:
        ShapeError: names the parameter, the reason and what to type.
    """
    for name in params:
        if name in REFUSED:
            raise _refused(name, REFUSED[name], where)
    if params.get("n", 1) != 1:
        raise _refused("n", "gives one answer a request", where, "repeats=… asks several times")
    _check_limits(params, where)
    if _object(params, "stream_options").get("include_usage") is False:
        raise ShapeError(
            f"{where}.stream_options.include_usage",
            "cannot be false: a stream of the Responses API always ends with its usage",
            hint=f"leave it out: {where}.stream_options=null",
        )
    schema = _object(params, "response_format").get("json_schema")
    if schema is not None and "schema" not in schema:
        raise ShapeError(
            f"{where}.response_format.json_schema.schema",
            "is missing, and the Responses API takes no format without a schema",
        )
    _check_extra(_object(params, "extra"), f"{where}.extra")


def _object(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    return params.get(name) or {}


def _refused(name: str, reason: str, where: str, other: str | None = None) -> ShapeError:
    hint = remedy(name, None, where)
    if other is None:
        other = (
            f"a server that knows it all the same gets it by {where}.extra.{name}; "
            "provider.protocol=chat sends it, where the server has chat completions"
        )
    hint += f"; {other}"
    return ShapeError(f"{where}.{name}", f"cannot be sent: the Responses API {reason}", hint)


def _check_limits(params: Mapping[str, Any], where: str) -> None:
    limits = {name: params[name] for name in OUTPUT_LIMITS if name in params}
    if len(set(limits.values())) > 1:
        stated = " and ".join(f"{name}={value}" for name, value in limits.items())
        raise ShapeError(
            f"{where}.max_tokens",
            f"differs from the other limit ({stated}): both are max_output_tokens here",
            hint=f"leave one out: {where}.max_tokens=null",
        )


def _check_extra(extra: Mapping[str, Any], where: str) -> None:
    for name, value in extra.items():
        rule = _EXTRA_RULES.get(name)
        if rule is not None:
            raise ShapeError(f"{where}.{name}", rule.problem, rule.hint)
        if name in ("reasoning", "text") and not isinstance(value, dict):
            raise type_mismatch(f"{where}.{name}", "an object", value)
        if name == "include" and not isinstance(value, list):
            raise type_mismatch(f"{where}.{name}", "a list of texts", value)
    for (name, key), hint in _MAPPED_KEYS.items():
        if key in cast("dict[str, Any]", extra.get(name, {})):
            raise ShapeError(f"{where}.{name}.{key}", _MAPPED, hint)
    if _LOGPROBS in cast("list[Any]", extra.get("include", [])):
        raise ShapeError(f"{where}.include", f"holds {_LOGPROBS}", "set params.logprobs=true")
    if extra.get("background"):
        raise ShapeError(
            f"{where}.background",
            "would have the answer come later, and answers are not fetched later",
            hint=f"leave it out: {where}.background=null",
        )


def request_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """The body of checked parameters, without model, input and ``extra``."""
    fields = {name: params[name] for name in _SAME_NAMES if name in params}
    for name in OUTPUT_LIMITS:
        if name in params:
            fields["max_output_tokens"] = params[name]
    if "reasoning_effort" in params:
        fields["reasoning"] = {"effort": params["reasoning_effort"]}
    text = _text_config(params)
    if text:
        fields["text"] = text
    if params.get("logprobs") is True:
        fields["include"] = [_LOGPROBS]
    # That the usage is included goes without saying here.
    options = _object(params, "stream_options")
    if "include_obfuscation" in options:
        fields["stream_options"] = {"include_obfuscation": options["include_obfuscation"]}
    if "tools" in params:
        fields["tools"] = [_flat_tool(tool["function"]) for tool in params["tools"]]
    choice = params.get("tool_choice")
    if choice is not None:
        by_name = isinstance(choice, dict)
        fields["tool_choice"] = _named_tool(cast("dict[str, Any]", choice)) if by_name else choice
    return fields


def _text_config(params: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    form = params.get("response_format")
    if form is not None:
        config["format"] = {"type": form["type"], **(form.get("json_schema") or {})}
    if "verbosity" in params:
        config["verbosity"] = params["verbosity"]
    return config


def _flat_tool(function: dict[str, Any]) -> dict[str, Any]:
    # Functions are strict here unless they say otherwise, and lax in chat completions: to mean the
    # same, a request says so.
    strict = function.get("strict")
    return {**function, "type": "function", "strict": False if strict is None else strict}


def _named_tool(choice: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "name": choice["function"]["name"]}
