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
    is_list,
    is_object,
    json_type,
    verdict,
)
from evalharness.scoring.json_in_text import NotJSONError, read_json, same_json


class Call(msgspec.Struct, frozen=True):
    """One function call; ``arguments`` is None where any will do, or where they are no JSON."""

    name: str
    arguments: Any = None
    readable: bool = True


class ToolCall(Scorer, frozen=True, kw_only=True):
    """1 when the calls made are the calls expected, else 0.

    Attributes:
        arguments: ``equal``: the same JSON value; ``subset``: every expected argument with its
            value, others allowed; ``ignore``: only names count.
        ordered: the calls must come in the target's order.
        extra_allowed: calls beyond the expected ones do no harm.
        tolerance: largest absolute difference between two numbers that still counts as equal.

    The target is ``{"name": …, "arguments": {…}}``, a list of those (all are expected; ``[]``
    expects no call), or a function's name alone. ``arguments`` left out accepts any. Always
    judges the calls, whatever ``of`` says.

    """

    arguments: Literal["equal", "subset", "ignore"] = "equal"
    ordered: bool = False
    extra_allowed: bool = False
    tolerance: Annotated[float, Meta(ge=0)] = 0.0

    def grade(self, sample: Sample) -> Score:
        """Match made calls with expected ones, one to one."""
        expected = _expected(sample.target)
        made = _made(sample.tool_calls_json)
        answer = sample.tool_calls_json
        if len(made) > len(expected) and not self.extra_allowed:
            return verdict(False, answer, f"{len(made)} calls where {len(expected)} are expected")
        missing = self._missing(expected, made)
        if missing is None:
            return verdict(True, answer, "the calls are as expected")
        return verdict(False, answer, f"no matching call of {missing.name!r}")

    def _missing(self, expected: list[Call], made: list[Call]) -> Call | None:
        """Find the first expected call that has no call of its own, or None."""
        if self.ordered:
            rest = iter(made)
            for want in expected:
                if not any(self._fits(want, call) for call in rest):
                    return want
            return None
        # One-to-one matching by augmenting paths: with `subset` a call can fit several.
        owner: dict[int, int] = {}

        def place(want: int, seen: set[int]) -> bool:
            for index, call in enumerate(made):
                if index in seen or not self._fits(expected[want], call):
                    continue
                seen.add(index)
                if index not in owner or place(owner[index], seen):
                    owner[index] = want
                    return True
            return False

        for want, call in enumerate(expected):
            if not place(want, set()):
                return call
        return None

    def _fits(self, want: Call, call: Call) -> bool:
        if want.name != call.name:
            return False
        if self.arguments == "ignore" or want.arguments is None:
            return True
        if not call.readable:
            return False
        wanted: Any = want.arguments
        given: Any = call.arguments
        if self.arguments == "subset" and is_object(wanted) and is_object(given):
            given = {key: given[key] for key in wanted if key in given}
        return same_json(wanted, given, self.tolerance)


def _expected(target: Any) -> list[Call]:
    if isinstance(target, str):
        try:
            target = read_json(target, fenced=False)
        except NotJSONError:
            return [Call(target)]
    several = target if is_list(target) else [target]
    return [_expected_one(one) for one in several]


def _expected_one(value: Any) -> Call:
    if isinstance(value, str):
        return Call(value)
    if not is_object(value):
        raise UnscorableError(f"the target must name calls, got {json_type(value)}")
    # The API's own shape is accepted too: {"type": "function", "function": {…}}.
    inner: Any = value.get("function", value)
    if not is_object(inner) or not isinstance(name := inner.get("name"), str):
        raise UnscorableError("the target has a call without a `name`")
    arguments, readable = _arguments(inner.get("arguments"))
    if not readable:
        raise UnscorableError("the target has `arguments` that are no JSON")
    return Call(name, arguments)


def _made(tool_calls_json: str | None) -> list[Call]:
    """Read the calls of a record, in the order they were made."""
    if tool_calls_json is None:
        return []
    calls: Any = read_json(tool_calls_json, fenced=False)
    made: list[Call] = []
    for entry in calls if is_list(calls) else [calls]:
        function = entry.get("function", entry) if is_object(entry) else None
        if not is_object(function):
            raise UnscorableError("the record has tool calls of an unknown shape")
        arguments, readable = _arguments(function.get("arguments"))
        made.append(Call(str(function.get("name")), arguments, readable))
    return made


def _arguments(raw: Any) -> tuple[Any, bool]:
    """Read arguments as JSON (the API sends them as a text), and whether they were JSON."""
    if not isinstance(raw, str):
        return raw, True
    if not raw.strip():
        return {}, True  # what a function without parameters is called with
    try:
        return read_json(raw, fenced=False), True
    except NotJSONError:
        return None, False
