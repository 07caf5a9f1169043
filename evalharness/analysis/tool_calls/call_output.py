"""What one answer did with the tools that its request offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from evalharness.analysis.data.json_values import JsonValues
from evalharness.scoring.scorers.json_schema import fits_schema

#: Finish reasons by which servers say that they call tools.
CALL_REASONS = frozenset({"tool_calls", "tool_use", "function_call"})


class CallOutput(NamedTuple):
    """One answer.

    Attributes:
        finish: ``tool_calls``, ``stop`` or ``other``.
        calls: how many tool calls it has.
        unknown_names: calls of functions that were not offered.
        unreadable: calls whose arguments are no JSON object.
        misfits: calls whose arguments do not fit the function's schema.
        in_text: whether it has no call, and a text that names an offered function before a ``{``.
    """

    finish: str
    calls: int
    unknown_names: int
    unreadable: int
    misfits: int
    in_text: bool

    @property
    def is_called(self) -> bool:
        """Whether it ended by calling tools, as its finish reason says."""
        return self.finish == "tool_calls"

    @property
    def is_valid(self) -> bool:
        """Whether it ended by calling tools, and every call can be executed."""
        wrong = self.unknown_names or self.unreadable or self.misfits
        return self.is_called and self.calls > 0 and not wrong


def offered_tools(request: str | None) -> JsonValues:
    """The functions that a request offers, with the JSON Schema of their arguments.

    A request in any of the three protocols; empty where it offers none, or is not known.
    """
    try:
        body = msgspec.json.decode(request or "null")
    except msgspec.MsgspecError:
        return {}
    return dict(_functions(_as_list(_as_object(body).get("tools"))))


def _functions(tools: list[Any]) -> Iterator[tuple[str, Any]]:
    for tool in tools:
        outer = _as_object(tool)
        function = _as_object(outer.get("function", outer))
        if isinstance(name := function.get("name"), str):
            yield name, function.get("parameters", function.get("input_schema"))


def read_call_output(
    finish_reason: str | None, calls: str | None, text: str | None, tools: Mapping[str, Any]
) -> CallOutput:
    """Describe an answer to a request that offered ``tools``.

    Args:
        finish_reason: as delivered.
        calls: the calls as stored, JSON in the form of chat completions; None has none.
        text: of the answer.
        tools: as :func:`offered_tools` gives them.
    """
    unknown = unreadable = misfits = 0
    calls_made = _calls(calls)
    for call in calls_made:
        function = _as_object(call.get("function"))
        name = function.get("name")
        if not isinstance(name, str) or name not in tools:
            unknown += 1
            continue
        arguments = _arguments(function.get("arguments"))
        if arguments is None:
            unreadable += 1
        elif tools[name] is not None and fits_schema(tools[name], arguments) is False:
            misfits += 1
    return CallOutput(
        finish=_finish(finish_reason),
        calls=len(calls_made),
        unknown_names=unknown,
        unreadable=unreadable,
        misfits=misfits,
        in_text=not calls_made and _is_call_in_text(text or "", tools),
    )


def _finish(reason: str | None) -> str:
    if reason in CALL_REASONS:
        return "tool_calls"
    return "stop" if reason in ("stop", "end_turn", "stop_sequence", "completed") else "other"


def _calls(calls: str | None) -> list[JsonValues]:
    try:
        value = msgspec.json.decode(calls or "[]")
    except msgspec.MsgspecError:
        return []
    return [_as_object(call) for call in _as_list(value)]


def _arguments(text: Any) -> JsonValues | None:
    """The arguments of a call; an empty text stands for none, as servers send it."""
    if not isinstance(text, str):
        return None
    try:
        value = msgspec.json.decode(text.strip() or "{}")
    except msgspec.MsgspecError:
        return None
    return cast("JsonValues", value) if isinstance(value, dict) else None


def _as_object(value: Any) -> JsonValues:
    """The value as a JSON object; empty where it is none."""
    return cast("JsonValues", value) if isinstance(value, dict) else {}


def _as_list(value: Any) -> list[Any]:
    """The value as a JSON array; empty where it is none."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def _is_call_in_text(text: str, tools: Mapping[str, Any]) -> bool:
    return any((at := text.find(name)) >= 0 and "{" in text[at:] for name in tools)
