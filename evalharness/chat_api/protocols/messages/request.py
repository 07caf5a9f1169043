"""The fields of a Messages request, from parameters that have the names of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalharness.chat_api.json_checks import ShapeError, short_repr
from evalharness.parameters import BY_NAME, OUTPUT_LIMITS

#: Parameters with the same name and meaning.
_SAME = ("temperature", "top_p", "top_k", "stream", "thinking", "service_tier")
#: Parameters that a request cannot say: why, and what to do instead.
REFUSED: dict[str, tuple[str, str]] = {
    "seed": ("has no seed", ""),
    "frequency_penalty": ("has no penalties", ""),
    "presence_penalty": ("has no penalties", ""),
    "repetition_penalty": ("has no penalties", ""),
    "min_p": ("has no min_p", "{where}.top_p and {where}.top_k bound what is sampled"),
    "verbosity": ("has no verbosity", "{where}.reasoning_effort bounds the length, too"),
    "top_logprobs": ("has no log probabilities", ""),
    "stream_options": ("has no stream_options: every stream has its usage", ""),
    "prediction": ("has no predicted output", ""),
    "prompt_cache_key": (
        "has no cache key",
        "what is cached is said by cache_control: params.extra.cache_control={{type: ephemeral}}, "
        "or in a content part or tool",
    ),
    "safety_identifier": ("names a user in metadata only", "use {where}.user in its place"),
}  # fmt: skip
#: Fields of a body that are made from messages or parameters: ``extra`` may not hold them.
_MADE = {
    "system": "set dataset.system, or a system message",
    "stop_sequences": "set {where}.stop",
}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_TIERS = ("auto", "standard_only")
_MIN_BUDGET = 1024
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking: with thinking on, only
# these are accepted of top_p.
_MIN_TOP_P_THINKING = 0.95


def request_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """The body without messages, model and ``extra``, from parameters that were checked."""
    fields = {name: params[name] for name in _SAME if name in params}
    for name in OUTPUT_LIMITS:
        if name in params:
            fields["max_tokens"] = params[name]
    if "stop" in params:
        stop = params["stop"]
        fields["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if output_config := _output_config(params):
        fields["output_config"] = output_config
    if "tools" in params:
        fields["tools"] = [_tool(tool) for tool in params["tools"]]
    if choice := _tool_choice(params):
        fields["tool_choice"] = choice
    metadata = dict(params.get("metadata") or {})
    if "user" in params:
        metadata["user_id"] = params["user"]
    if metadata:
        fields["metadata"] = metadata
    return fields


def check_fields(params: Mapping[str, Any], where: str, *, partial: bool) -> None:
    """Refuse what a request cannot say.

    Raises:
        ShapeError: names the parameter.
    """
    for name in params:
        if name in REFUSED:
            why, instead = REFUSED[name]
            raise _refusal(
                f"{where}.{name}",
                why,
                instead.format(where=where),
                f"; a server that knows it all the same gets it by {where}.extra.{name}",
            )
    _check_extra(params.get("extra") or {}, where)
    _check_choices(params, where)
    _check_output(params, where)
    _check_user(params, where)
    _check_limits(params, where, partial=partial)
    _check_thinking(params, where, partial=partial)
    _check_tools(params, where, partial=partial)


def _refusal(path: str, why: str, instead: str = "", other: str = "") -> ShapeError:
    hint = f"{instead}; otherwise leave it out" if instead else "leave it out"
    problem = f"cannot be sent: the Messages API {why}"
    return ShapeError(path, problem, f"{hint}: {path}=null{other}")


def _check_extra(extra: Mapping[str, Any], where: str) -> None:
    for key in extra:
        if key in BY_NAME and key not in REFUSED:
            raise ShapeError(
                f"{where}.extra.{key}", "would go unchanged into the body", f"set {where}.{key}"
            )
        if key in _MADE:
            raise ShapeError(
                f"{where}.extra.{key}",
                "would overwrite a field that is made from others",
                _MADE[key].format(where=where),
            )


def _check_choices(params: Mapping[str, Any], where: str) -> None:
    if params.get("n", 1) != 1:
        raise ShapeError(
            f"{where}.n",
            "cannot be sent: the Messages API gives one answer a request",
            f"set repeats in its place, with {where}.n=null",
        )
    if params.get("logprobs"):
        raise _refusal(f"{where}.logprobs", "has no log probabilities")


def _check_output(params: Mapping[str, Any], where: str) -> None:
    effort = params.get("reasoning_effort")
    if effort is not None and effort not in _EFFORTS:
        off = f" {where}.thinking={{type: disabled}} asks for no thinking."
        raise ShapeError(
            f"{where}.reasoning_effort",
            f"must be one of {', '.join(_EFFORTS)}, got {short_repr(effort)}",
            f"output_config.effort has these levels.{off if effort == 'none' else ''}",
        )
    tier = params.get("service_tier")
    if tier is not None and tier not in _TIERS:
        raise ShapeError(
            f"{where}.service_tier",
            f"must be {' or '.join(_TIERS)}, got {short_repr(tier)}",
            f"the Messages API has these: leave it out with {where}.service_tier=null",
        )
    _check_format(params.get("response_format") or {}, f"{where}.response_format")


def _check_format(wanted: Mapping[str, Any], path: str) -> None:
    kind = wanted.get("type")
    if kind == "json_object":
        raise _refusal(
            path, "has no JSON mode without a schema", "use a response_format of type json_schema"
        )
    if kind != "json_schema":
        return
    schema = wanted["json_schema"]
    if "schema" not in schema:
        raise ShapeError(f"{path}.json_schema.schema", "is missing", "the Messages API needs one")
    if "description" in schema:
        raise ShapeError(
            f"{path}.json_schema.description",
            "cannot be sent: the Messages API has no description of a format",
            "put it into the schema's own description",
        )
    if schema.get("strict") is False:
        raise ShapeError(
            f"{path}.json_schema.strict",
            "cannot be false: the Messages API always keeps to the schema",
            "leave strict out, or set it true",
        )


def _check_user(params: Mapping[str, Any], where: str) -> None:
    metadata: Mapping[str, Any] = params.get("metadata") or {}
    for key, value in metadata.items():
        if key != "user_id":
            raise ShapeError(
                f"{where}.metadata.{key}",
                "cannot be sent: the metadata of the Messages API has user_id only",
                f"leave it out, or use {where}.user",
            )
        if not isinstance(value, str):
            raise ShapeError(f"{where}.metadata.user_id", "must be a text", f"or use {where}.user")
        if params.get("user", value) != value:
            raise ShapeError(
                f"{where}.user", "differs from metadata.user_id, which it becomes", "set one"
            )


def _check_limits(params: Mapping[str, Any], where: str, *, partial: bool) -> None:
    limits = {params[name] for name in OUTPUT_LIMITS if name in params}
    if len(limits) > 1:
        raise ShapeError(
            f"{where}.max_completion_tokens",
            "differs from max_tokens: the Messages API has one limit, max_tokens",
            f"set {where}.max_completion_tokens=null",
        )
    if not limits and not partial:
        raise ShapeError(
            f"{where}.max_tokens",
            "is missing: every request of the Messages API must have it",
            f"set {where}.max_tokens, e.g. {where}.max_tokens=1024",
        )


def _check_thinking(params: Mapping[str, Any], where: str, *, partial: bool) -> None:
    thinking: Mapping[str, Any] = params.get("thinking") or {}
    if not thinking:
        return
    path, kind = f"{where}.thinking", thinking.get("type")
    if not isinstance(kind, str):
        raise ShapeError(
            f"{path}.type", "is missing", "for example {type: adaptive}, or {type: disabled}"
        )
    if kind == "enabled":
        _check_budget(params, thinking, path)
    if partial or kind not in ("enabled", "adaptive"):
        return
    if params.get("temperature", 1) != 1:
        raise _with_thinking(where, "temperature", "must be 1")
    if "top_k" in params:
        raise _with_thinking(where, "top_k", "cannot be sent")
    if params.get("top_p", 1) < _MIN_TOP_P_THINKING:
        raise _with_thinking(where, "top_p", f"must be {_MIN_TOP_P_THINKING} to 1")
    forced = params.get("tool_choice", "auto") not in ("auto", "none")
    if kind == "enabled" and forced:
        raise _with_thinking(where, "tool_choice", "must be auto or none")


def _with_thinking(where: str, name: str, problem: str) -> ShapeError:
    return ShapeError(
        f"{where}.{name}",
        f"{problem} where the model thinks, as the Messages API says",
        f"set {where}.{name}=null, or {where}.thinking=null",
    )


def _check_budget(params: Mapping[str, Any], thinking: Mapping[str, Any], path: str) -> None:
    budget = thinking.get("budget_tokens")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < _MIN_BUDGET:
        raise ShapeError(
            f"{path}.budget_tokens",
            f"must be a whole number of at least {_MIN_BUDGET}, got {short_repr(budget)}",
            "later models have {type: adaptive} in its place, with reasoning_effort",
        )
    limit = next((params[name] for name in OUTPUT_LIMITS if name in params), None)
    # With thinking between tool calls the budget is of all of them, and may be larger.
    if limit is not None and budget >= limit and not params.get("tools"):
        raise ShapeError(
            f"{path}.budget_tokens",
            f"must be less than max_tokens ({limit}), got {budget}: thinking counts as output",
            "set a larger max_tokens",
        )


def _check_tools(params: Mapping[str, Any], where: str, *, partial: bool) -> None:
    if partial:
        return
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in params and not params.get("tools"):
            raise ShapeError(f"{where}.{name}", "needs tools", f"set {where}.{name}=null")
    if params.get("tool_choice") == "none" and "parallel_tool_calls" in params:
        raise ShapeError(
            f"{where}.parallel_tool_calls",
            "cannot be sent with tool_choice=none",
            f"set {where}.parallel_tool_calls=null",
        )


def _output_config(params: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if "reasoning_effort" in params:
        config["effort"] = params["reasoning_effort"]
    wanted: Mapping[str, Any] = params.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        config["format"] = {"type": "json_schema", "schema": wanted["json_schema"]["schema"]}
    return config


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function: Mapping[str, Any] = tool["function"]
    fields = {"name": function["name"], "input_schema": function["parameters"]}
    for name in ("description", "strict"):
        if function.get(name) is not None:
            fields[name] = function[name]
    if "cache_control" in tool:
        fields["cache_control"] = tool["cache_control"]
    return fields


def _tool_choice(params: Mapping[str, Any]) -> dict[str, Any]:
    wanted, parallel = params.get("tool_choice"), params.get("parallel_tool_calls")
    choice: dict[str, Any]
    if isinstance(wanted, Mapping):
        choice = {"type": "tool", "name": wanted["function"]["name"]}
    elif wanted is not None:
        choice = {"type": "any" if wanted == "required" else wanted}
    elif parallel is not None:
        choice = {"type": "auto"}
    else:
        return {}
    if parallel is not None:
        choice["disable_parallel_tool_use"] = not parallel
    return choice
