"""The value of a parameter in the body of a request or a response.

Bodies of chat completions have parameters under their own names. Those of other APIs have some
elsewhere (docs/protocol-responses.md, docs/protocol-messages.md), and some in another form, which
is not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from evalharness.analysis.data.json_values import JsonValues


class BodyForm(NamedTuple):
    """How the bodies of an API are written.

    Attributes:
        places: where a parameter stands, where that is not under its own name.
        not_compared: parameters that are sent in another form, or by saying nothing.
        echoes_nulls: whether a null in a response is a repeated value; else it repeats nothing.
    """

    places: Mapping[str, tuple[str, ...]]
    not_compared: frozenset[str]
    echoes_nulls: bool = True


CHAT = BodyForm(MappingProxyType({}), frozenset())
RESPONSES = BodyForm(
    MappingProxyType(
        {
            "max_tokens": ("max_output_tokens",),
            "max_completion_tokens": ("max_output_tokens",),
            "reasoning_effort": ("reasoning", "effort"),
            "verbosity": ("text", "verbosity"),
        }
    ),
    frozenset(
        {
            "n", "logprobs", "stream_options", "tools", "tool_choice", "response_format",
            "extra.reasoning", "extra.text", "extra.include",
        }
    ),
    echoes_nulls=False,
)  # fmt: skip
MESSAGES = BodyForm(
    MappingProxyType(
        {
            "max_completion_tokens": ("max_tokens",),
            "reasoning_effort": ("output_config", "effort"),
            "stop": ("stop_sequences",),
            "user": ("metadata", "user_id"),
        }
    ),
    frozenset(
        {
            "n", "logprobs", "parallel_tool_calls", "tools", "tool_choice", "response_format",
            # What a response has under this name is another object.
            "extra.container",
        }
    ),
    echoes_nulls=False,
)  # fmt: skip
# What only requests of the Messages API have.
_OF_MESSAGES = frozenset({"system", "stop_sequences", "output_config"})


def body_form(bodies: Iterable[tuple[JsonValues | None, JsonValues | None]]) -> BodyForm:
    """The form of a setting's requests and responses, which are all of one API."""
    for request, response in bodies:
        if response is not None and "choices" in response:
            return CHAT
        if request is not None and "messages" not in request and "input" in request:
            return RESPONSES
        if response is not None and response.get("object") == "response":
            return RESPONSES
        if request is not None and "messages" in request and _OF_MESSAGES & request.keys():
            return MESSAGES
        # So begin its answers and its errors; chat completions have no `type`.
        if response is not None and response.get("type") in ("message", "error"):
            return MESSAGES
    return CHAT


def sent_value(request: JsonValues, name: str, form: BodyForm) -> list[Any]:
    """What a request holds, null where it does not: one value; none where it has another form."""
    return [] if name in form.not_compared else [_value(request, name, form)]


def echoed_value(response: JsonValues, name: str, form: BodyForm) -> list[Any]:
    """What a response repeats: one value, or none."""
    if name in form.not_compared:
        return []
    if form.echoes_nulls:
        key = name.removeprefix("extra.")
        return [response[key]] if key in response else []
    value = _value(response, name, form)
    return [] if value is None else [value]


def _value(body: JsonValues, name: str, form: BodyForm) -> Any:
    value: Any = body
    for key in form.places.get(name, (name.removeprefix("extra."),)):
        value = cast("JsonValues", value).get(key) if isinstance(value, dict) else None
    return value
