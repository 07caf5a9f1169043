"""The request parameters of a chat completion, checked before anything is sent.

Names and forms come from :mod:`evalharness.parameters`, ranges from the provider's profile.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from evalharness.chat_api import cache_control, json_checks
from evalharness.chat_api.json_checks import (
    Check,
    ShapeError,
    array,
    boolean,
    object_with,
    one_of,
    optional,
    type_mismatch,
)
from evalharness.chat_api.protocol import ApiProtocol
from evalharness.config.models import Profile
from evalharness.errors import ConfigError
from evalharness.parameters import (
    KNOWN_PARAMS,
    NOT_EXTRA,
    PARAMETERS,
    Parameter,
    Range,
)
from evalharness.process.text import closest, did_you_mean

MAX_TOOLS = 128  # the API's own limit

# Top-level names of a body that are not parameters; `extra` may not overwrite them.
RESERVED = frozenset({"model", "messages"})


def check_params(
    params: dict[str, Any],
    profile: Profile,
    *,
    protocol: ApiProtocol | None = None,
    model: str | None = None,
    where: str = "params",
    swept: Collection[str] = (),
    partial: bool = False,
    lacks: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Check types, shapes and ranges; return the same parameters without the null ones.

    Args:
        params: parameters by name. None means "not sent". ``extra`` is an object of provider
            specific fields that go into the body as they are.
        profile: the provider's ranges and limits.
        protocol: of the endpoint; None says everything that is a parameter.
        model: its own rules in the profile hold too; None: only those of all models.
        where: how the parameters are called in messages, e.g. ``params``.
        swept: names of parameters that are axes, which messages call ``sweep.NAME``.
        partial: leave out conditions between parameters, for overrides that only make sense
            together with a setting.
        lacks: without a ``protocol``: parameters that ``extra`` may hold, as some protocol of the
            run has no field for them.

    Raises:
        ConfigError: names the parameter, the range and the value.
    """
    profile = profile.for_model(model)
    checks = _checks(profile, NOT_EXTRA - (lacks if protocol is None else protocol.lacks))
    sent: dict[str, Any] = {}
    try:
        for name, value in params.items():
            group = "sweep" if name in swept else where
            if name not in KNOWN_PARAMS:
                raise _unknown_param(group, name)
            if value is None:
                continue
            _check_accepted(name, value, profile, model, group)
            checks[name](value, f"{group}.{name}")
            sent[name] = _without_nulls(value) if name == "extra" else value
        if not partial:
            check_together(sent, where)
        if protocol is not None:
            cache_control.refuse_in_tools(sent.get("tools"), f"{where}.tools", protocol)
            protocol.check(sent, where, partial=partial)
    except ShapeError as error:
        raise _config_error(error, where, swept) from None
    return sent


def _config_error(error: ShapeError, where: str, swept: Collection[str]) -> ConfigError:
    """The error, which calls an axis by what was typed."""
    path, hint = error.path, error.hint
    name = path.removeprefix(f"{where}.").split(".")[0].split("[")[0]
    if name in swept and path.startswith(f"{where}."):
        path = path.replace(where, "sweep", 1)
        for typed in (f".{name}=", f".extra.{name}"):
            hint = hint and hint.replace(f"{where}{typed}", f"sweep{typed}")
    return ConfigError(f"`{path}` {error.problem}", hint=hint)


def _check_accepted(name: str, value: Any, profile: Profile, model: str | None, where: str) -> None:
    """Refuse what the provider, or this model of it, is known to refuse."""
    refused = profile.refuses or {}
    inner = cast("dict[str, Any]", value) if name == "extra" and isinstance(value, dict) else {}
    for key in (name, *inner):
        if key in refused:
            group = f"{where}.extra" if key in inner else where
            raise ShapeError(
                f"{group}.{key}",
                f"is refused by {model or 'the provider'}, as its profile says",
                f"{remedy(key, refused[key], group)}; provider.profile.models=[] "
                "provider.profile.refuses=null lift what the profile says",
            )


def remedy(name: str, instead: str | None, where: str = "params") -> str:
    """What to type where a parameter is refused; ``instead`` names the one that takes its place."""
    if instead is None:
        return f"leave it out: {where}.{name}=null"
    group = "sweep" if where == "sweep" else "params"
    return f"use {group}.{instead} in its place, with {where}.{name}=null"


def check_together(params: dict[str, Any], where: str) -> None:
    """Conditions between parameters.

    Raises:
        ShapeError: ``top_logprobs`` without ``logprobs``, or ``stream_options`` without ``stream``.
    """
    if "top_logprobs" in params and params.get("logprobs") is not True:
        raise ShapeError(
            f"{where}.top_logprobs", "needs logprobs", hint=f"set {where}.logprobs=true"
        )
    if "stream_options" in params and params.get("stream") is not True:
        raise ShapeError(
            f"{where}.stream_options", "needs a streamed request", hint=f"set {where}.stream=true"
        )


def _unknown_param(where: str, name: Any) -> ShapeError:
    close = closest(str(name), KNOWN_PARAMS)
    hint = f"a field only this provider knows goes into {where}.extra.{name}"
    if close:
        hint = f"{did_you_mean(f'{where}.{close}')} Otherwise: {hint}"
    return ShapeError(f"{where}.{name}", "is not a known parameter", hint)


def _without_nulls(extra: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in extra.items() if value is not None}


def _checks(profile: Profile, not_extra: frozenset[str]) -> dict[str, Check]:
    """A check for each parameter: by its form, or its own where the form is any other JSON."""
    own: dict[str, Check] = {
        "stop": _stop(profile.max_stop),
        "stream_options": _stream_options,
        "tools": _tools,
        "tool_choice": _tool_choice,
        "prediction": _prediction,
        "response_format": _response_format,
        "thinking": json_checks.json_object,
        "metadata": json_checks.json_object,
    }
    checks = {p.name: own.get(p.name) or _by_form(p, profile.range_of(p)) for p in PARAMETERS}
    return {**checks, "extra": _extra(checks, not_extra)}


def _by_form(parameter: Parameter, ends: Range) -> Check:
    if parameter.form == "boolean":
        return boolean
    if parameter.form == "text":
        return json_checks.string
    if parameter.form == "number":
        return json_checks.number(*ends)
    if parameter.form == "integer":
        lowest, highest = (None if end is None else int(end) for end in ends)
        return json_checks.integer(lowest, highest)
    raise ValueError(f"parameter {parameter.name} has no check")


def _stop(max_stop: int | None) -> Check:
    stop_list = array(json_checks.string, what="stop sequences", max_items=max_stop)

    def check(value: Any, path: str) -> None:
        if isinstance(value, str):
            json_checks.string(value, path)
        elif isinstance(value, list):
            stop_list(value, path)
        else:
            raise type_mismatch(path, "a text or a list of texts", value)

    return check


def _tool_choice(value: Any, path: str) -> None:
    if isinstance(value, str):
        one_of("none", "auto", "required")(value, path)
    else:
        _named_tool(value, path)


def _response_format(value: Any, path: str) -> None:
    kind = cast("dict[Any, Any]", value).get("type") if isinstance(value, dict) else None
    if kind == "json_schema":
        _schema_format(value, path)
    else:
        _plain_format(value, path)


_FREE_IN_EXTRA = frozenset(p.name for p in PARAMETERS if p.form == "json")


def _extra(checks: dict[str, Check], not_extra: frozenset[str]) -> Check:
    def check(value: Any, path: str) -> None:
        json_checks.json_object(value, path)
        for key, item in cast("dict[str, Any]", value).items():
            if key in not_extra or key in RESERVED:
                correct = key if key in RESERVED else f"{path.rpartition('.')[0]}.{key}"
                raise ShapeError(f"{path}.{key}", "would overwrite a known field", f"set {correct}")
            # Servers differ in the form of what is an object elsewhere: `thinking: true` is one.
            if key in checks and key not in _FREE_IN_EXTRA and item is not None:
                checks[key](item, f"{path}.{key}")

    return check


_function = object_with(
    {"name": json_checks.string, "parameters": json_checks.json_object},
    {"description": json_checks.string, "strict": optional(boolean)},
)
_tools = array(
    object_with(
        {"type": one_of("function"), "function": _function},
        {cache_control.KEY: cache_control.check_cache_control},
    ),
    what="tools",
    max_items=MAX_TOOLS,
)
_named_tool = object_with(
    {"type": one_of("function"), "function": object_with({"name": json_checks.string})}
)
_stream_options = object_with({"include_usage": boolean}, {"include_obfuscation": boolean})
_prediction = object_with({"type": one_of("content"), "content": json_checks.text_or_parts})
_plain_format = object_with({"type": one_of("text", "json_object", "json_schema")})
_schema_format = object_with(
    {
        "type": one_of("json_schema"),
        "json_schema": object_with(
            {"name": json_checks.string},
            {
                "schema": json_checks.json_object,
                "strict": optional(boolean),
                "description": json_checks.string,
            },
        ),
    }
)
