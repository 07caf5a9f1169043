"""``tool_call``: the model called the right functions with the right arguments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evalharness.scoring.base import (
    Sample,
    Score,
    Scorer,
    UnscorableError,
    binary_score,
    is_list,
    is_object,
    json_type,
)
from evalharness.scoring.json_in_text import NotJSONError, parse_json, same_json


class FunctionCall(msgspec.Struct, frozen=True):
    """One function call; ``arguments`` is None where any are accepted, or they are no JSON."""

    name: str
    arguments: Any = None
    readable: bool = True


class ToolCallScorer(Scorer, frozen=True, kw_only=True):
    """1 when the calls made are the calls expected, else 0.

    Attributes:
        arguments: ``equal``: the same JSON value; ``subset``: every expected argument with its
            value, others allowed, inside of objects too; ``ignore``: only names count.
        ordered: the calls must come in the target's order.
        extra_allowed: calls beyond the expected ones do no harm.
        tolerance: largest absolute difference between two numbers that still counts as equal.

    The target is ``{"name": …, "arguments": {…}}``, a list of those (all are expected; ``[]``
    expects no call), or a function's name alone. ``arguments`` left out accepts any, null means
    none (``{}``), in target and call. Always scores the calls, whatever ``of`` says.

    """

    arguments: Literal["equal", "subset", "ignore"] = "equal"
    ordered: bool = False
    extra_allowed: bool = False
    tolerance: Annotated[float, Meta(ge=0)] = 0.0

    def evaluate(self, sample: Sample) -> Score:
        """Match the record's calls with the expected ones, one to one."""
        expected = _expected_calls(sample.target)
        calls = _record_calls(sample.tool_calls_json)
        answer = sample.tool_calls_json
        if len(calls) > len(expected) and not self.extra_allowed:
            return binary_score(
                False, answer, f"{len(calls)} calls where {len(expected)} are expected"
            )
        missing = self._first_missing(expected, calls)
        if missing is None:
            return binary_score(True, answer, "the calls are as expected")
        return binary_score(False, answer, f"no matching call of {missing.name!r}")

    def _first_missing(
        self, expected: list[FunctionCall], calls: list[FunctionCall]
    ) -> FunctionCall | None:
        """The first expected call that no call of the record matches; None if all are matched."""
        if self.ordered:
            rest = iter(calls)
            for want in expected:
                if not any(self._matches(want, call) for call in rest):
                    return want
            return None
        # One-to-one matching by augmenting paths: with `subset` a call can fit several.
        owner: dict[int, int] = {}

        def assign(want: int, seen: set[int]) -> bool:
            for index, call in enumerate(calls):
                if index in seen or not self._matches(expected[want], call):
                    continue
                seen.add(index)
                if index not in owner or assign(owner[index], seen):
                    owner[index] = want
                    return True
            return False

        for want, call in enumerate(expected):
            if not assign(want, set()):
                return call
        return None

    def _matches(self, expected: FunctionCall, call: FunctionCall) -> bool:
        if expected.name != call.name:
            return False
        if self.arguments == "ignore" or expected.arguments is None:
            return True
        if not call.readable:
            return False
        wanted: Any = expected.arguments
        given: Any = call.arguments
        if self.arguments == "subset":
            given = _wanted_part(given, wanted)
        return same_json(wanted, given, self.tolerance)


def _wanted_part(given: Any, wanted: Any) -> Any:
    """A JSON value without the keys that are not wanted of it, at every depth."""
    if is_object(given) and is_object(wanted):
        return {key: _wanted_part(given[key], wanted[key]) for key in wanted if key in given}
    if is_list(given) and is_list(wanted) and len(given) == len(wanted):
        return [_wanted_part(*pair) for pair in zip(given, wanted, strict=True)]
    return given


def _expected_calls(target: Any) -> list[FunctionCall]:
    if isinstance(target, str):
        try:
            target = parse_json(target, allow_code_fence=False)
        except NotJSONError:
            return [FunctionCall(target)]
    entries = target if is_list(target) else [target]
    return [_expected_call(entry) for entry in entries]


def _expected_call(value: Any) -> FunctionCall:
    if isinstance(value, str):
        return FunctionCall(value)
    if not is_object(value):
        raise UnscorableError(f"the target must name calls, got {json_type(value)}")
    # The API's own shape is accepted too: {"type": "function", "function": {…}}.
    inner: Any = value.get("function", value)
    if not is_object(inner) or not isinstance(name := inner.get("name"), str):
        raise UnscorableError("the target has a call without a `name`")
    if "arguments" not in inner:
        return FunctionCall(name)
    arguments, readable = _arguments(inner["arguments"])
    if not readable:
        raise UnscorableError("the target has `arguments` that are no JSON")
    return FunctionCall(name, arguments)


def _record_calls(tool_calls_json: str | None) -> list[FunctionCall]:
    """Read the calls of a record, in the order they were made."""
    if tool_calls_json is None:
        return []
    decoded: Any = parse_json(tool_calls_json, allow_code_fence=False)
    calls: list[FunctionCall] = []
    for entry in decoded if is_list(decoded) else [decoded]:
        function = entry.get("function", entry) if is_object(entry) else None
        if not is_object(function):
            raise UnscorableError("the record has tool calls of an unknown shape")
        arguments, readable = _arguments(function.get("arguments"))
        calls.append(FunctionCall(str(function.get("name")), arguments, readable))
    return calls


def _arguments(raw: Any) -> tuple[Any, bool]:
    """Read arguments as JSON (the API sends them as a text), and whether they were JSON."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return {}, True  # what a function without parameters is called with
    if not isinstance(raw, str):
        return raw, True
    try:
        arguments = parse_json(raw, allow_code_fence=False)
        return {} if arguments is None else arguments, True
    except NotJSONError:
        return None, False
