"""What is wrong with an invalid request, field by field, for the body of a 400."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, cast

from evalharness.emulator.validation.openapi_schema import Schema, compile_schema, is_type

MAX_HINTS = 20


class HintKind(StrEnum):
    """What is wrong, for the APIs that have words of their own for it."""

    OTHER = "other"
    JSON = "json"
    MISSING = "missing"
    UNKNOWN = "unknown"  # a member that the object does not have; detail: the first of them
    TYPE = "type"  # detail: the type that was expected
    CHOICE = "choice"  # detail: the values that were expected, with blanks between
    KIND = "kind"  # the same, of the member that tells objects apart
    BELOW = "below"  # detail: the minimum
    ABOVE = "above"  # detail: the maximum


class Hint(NamedTuple):
    """One fault of a request: where, and what was expected there."""

    path: str  # messages.0.role; empty for the body itself
    message: str
    kind: HintKind = HintKind.OTHER
    detail: str = ""
    value: Any = None  # what stands there


def request_hints(schema: Schema, value: Any) -> list[Hint]:
    """The faults of a value, at most 20; empty exactly when it is valid."""
    hints: list[Hint] = []
    _walk(schema, value, "", hints)
    return hints[:MAX_HINTS]


def hints_text(hints: list[Hint]) -> str:
    """The hints as one text, the way the API words its validation errors."""
    return "Body validation error. " + "; ".join(
        f"{hint.path or 'body'}: {hint.message}" for hint in hints
    )


def _walk(schema: Schema, value: Any, path: str, hints: list[Hint]) -> None:
    if compile_schema(schema)(value):
        return
    before = len(hints)
    if "type" in schema and not is_type(value, schema["type"]):
        got = "null" if value is None else _TYPE_NAMES.get(type(value).__name__, "number")
        message = f"Expected {schema['type']}, received {got}"
        hints.append(Hint(path, message, HintKind.TYPE, schema["type"], value))
        return
    if "enum" in schema:
        options = " | ".join(f"'{option}'" for option in schema["enum"])
        message = f"Invalid enum value. Expected {options}, received {value!r}"
        hints.append(Hint(path, message, HintKind.CHOICE, " ".join(schema["enum"]), value))
    _bounds(schema, value, path, hints)
    if isinstance(value, dict):
        _object(schema, cast("dict[str, Any]", value), path, hints)
    elif isinstance(value, list) and "items" in schema:
        for i, item in enumerate(cast("list[Any]", value)):
            _walk(schema["items"], item, _join(path, str(i)), hints)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        hints.extend(_closest(schema, branches, value, path))
    if len(hints) == before:
        hints.append(Hint(path, "Invalid input"))


_TYPE_NAMES = {"str": "string", "bool": "boolean", "list": "array", "dict": "object"}


def _bounds(schema: Schema, value: Any, path: str, hints: list[Hint]) -> None:
    if not is_type(value, "number"):
        return
    if "minimum" in schema and value < schema["minimum"]:
        low = schema["minimum"]
        message = f"Number must be greater than or equal to {low}"
        hints.append(Hint(path, message, HintKind.BELOW, str(low), value))
    if "maximum" in schema and value > schema["maximum"]:
        high = schema["maximum"]
        message = f"Number must be less than or equal to {high}"
        hints.append(Hint(path, message, HintKind.ABOVE, str(high), value))


def _object(schema: Schema, value: dict[str, Any], path: str, hints: list[Hint]) -> None:
    hints.extend(
        Hint(_join(path, name), "Required", HintKind.MISSING)
        for name in schema.get("required", ())
        if name not in value
    )
    known: dict[str, Schema] = schema.get("properties", {})
    for name, item in value.items():
        if name in known:
            _walk(known[name], item, _join(path, name), hints)
    if schema.get("additionalProperties") is False:
        extra = [name for name in value if name not in known]
        if extra:
            names = ", ".join(f"'{name}'" for name in extra)
            message = f"Unrecognized key(s) in object: {names}"
            hints.append(Hint(path, message, HintKind.UNKNOWN, extra[0]))


def _closest(schema: Schema, branches: list[Schema], value: Any, path: str) -> list[Hint]:
    """The hints of the branch the value comes nearest to: same kind, then fewest faults.

    Where a member names the kind (``discriminator``), the branch of that name; without that
    member, the branches that do without.
    """
    tag = schema.get("discriminator", {}).get("propertyName")
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    kind = fields.get(tag)
    if tag is not None and kind is None:
        branches = [b for b in branches if tag not in b.get("properties", {})] or branches
    elif tag is not None:
        tags = {
            name: branch
            for branch in branches
            for name in branch.get("properties", {}).get(tag, {}).get("enum", ())
        }
        if not isinstance(kind, str) or kind not in tags:
            message = f"Invalid discriminator value. Expected {' | '.join(tags)}"
            return [Hint(_join(path, tag), message, HintKind.KIND, " ".join(tags), kind)]
        branches = [tags[kind]]
    attempts: list[tuple[bool, int, list[Hint]]] = []
    for branch in branches:
        hints: list[Hint] = []
        _walk(branch, value, path, hints)
        other_kind = any(
            hint.path == path
            or (hint.kind is HintKind.CHOICE and hint.path.rpartition(".")[0] == path)
            for hint in hints
            if hint.kind is not HintKind.UNKNOWN
        )
        attempts.append((other_kind, len(hints), hints))
    return min(attempts, key=lambda entry: entry[:2])[2] or [Hint(path, "Invalid input")]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
