"""Values valid for a JSON Schema: structured output and the arguments of tool calls.

Understood: ``type`` (also a list of types), ``properties``, ``required``, ``additionalProperties``,
``minProperties``, ``enum``, ``const``, ``items``, ``prefixItems``, ``minItems``, ``maxItems``,
``uniqueItems``, ``minLength``, ``maxLength``, ``format``, ``minimum``, ``maximum``, their exclusive
forms in both spellings, ``multipleOf``, ``anyOf``, ``oneOf``, ``allOf``, ``nullable``, and ``$ref``
within the document. Keywords beyond these (``pattern``, ``not``, ``if``…) are not obeyed, except
that ``examples`` and ``default`` are preferred where a ``pattern`` stands.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, cast

Schema = dict[str, Any]

OPTIONAL_DEPTH = 6  # below this depth only required properties are generated
_MAX_DEPTH = 48  # a schema that requires itself recursively is given up at this depth
_MAX_VALUES = 20_000  # and one that needs more values than this, too
_MAX_TEXT_LENGTH = 100_000
# fmt: off
_WORDS = [
    "river", "teacher", "engine", "market", "letter", "number", "garden",
    "question", "model", "student", "village", "bridge", "sample", "window",
    "sailor", "method", "machine", "forest", "answer", "team",
]
# fmt: on


def _date(r: random.Random) -> str:
    return f"{r.randint(1990, 2030)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}"


def _time(r: random.Random) -> str:
    return f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}Z"


def _uuid(r: random.Random) -> str:
    digits = f"{r.getrandbits(122):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": _date,
    "time": _time,
    "date-time": lambda r: f"{_date(r)}T{_time(r)}",
    "duration": lambda r: f"P{r.randint(1, 30)}D",
    "uuid": _uuid,
    "email": lambda r: f"{r.choice(_WORDS)}@example.com",
    "uri": lambda r: f"https://example.com/{r.choice(_WORDS)}",
    "hostname": lambda r: f"{r.choice(_WORDS)}.example.com",
    "ipv4": lambda r: ".".join(str(r.randint(1, 254)) for _ in range(4)),
    "ipv6": lambda r: f"2001:db8::{r.randint(1, 0xFFFF):x}",
}


class Unsatisfiable(ValueError):  # noqa: N818 - a finding about a schema, not a fault of ours
    """No value of this schema was found."""


def sample_instance(schema: object, rng: random.Random) -> Any:
    """A value valid for the schema, drawn with ``rng``.

    Raises:
        Unsatisfiable: the schema contradicts itself, requires itself without end, or cannot be
            read.
    """
    root: Schema = cast("Schema", schema) if isinstance(schema, dict) else {}
    try:
        return _InstanceSampler(root, rng).sample(root if isinstance(schema, dict) else schema, 0)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise Unsatisfiable(str(error)) from error


class _InstanceSampler:
    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._count = 0

    def sample(self, schema: object, depth: int) -> Any:
        self._count += 1
        if depth > _MAX_DEPTH or self._count > _MAX_VALUES:
            raise Unsatisfiable("the schema requires itself without end, or too much")
        if schema is True:
            return self._rng.choice(_WORDS)
        if not isinstance(schema, dict):
            raise Unsatisfiable(f"{schema!r} is no schema that allows a value")
        schema = self._flatten(cast("Schema", schema), 0)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        if "pattern" in schema and (schema.get("examples") or "default" in schema):
            return (schema.get("examples") or [schema["default"]])[0]
        kind = self._kind(schema)
        makers = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
        }
        if kind in makers:
            return makers[kind](schema, depth)
        return None if kind == "null" else self._rng.random() < 0.5

    def _flatten(self, schema: Schema, depth: int) -> Schema:
        """The schema with references followed, and one branch of each union merged in."""
        while any(key in schema for key in ("$ref", "allOf", "anyOf", "oneOf")):
            depth += 1
            if depth > _MAX_DEPTH:
                raise Unsatisfiable("references without end")
            rest = dict(schema)
            if "$ref" in rest:
                parts = [self._resolve(rest.pop("$ref"))]
            elif "allOf" in rest:
                parts = rest.pop("allOf")
            else:
                branches = rest.pop("anyOf") if "anyOf" in rest else rest.pop("oneOf")
                parts = [self._branch(branches, depth)]
            schema = rest
            for part in parts:
                if isinstance(part, dict):
                    schema = _merge(schema, self._flatten(cast("Schema", part), depth))
        return schema

    def _branch(self, branches: list[Any], depth: int) -> Schema:
        """One of the branches: any of them, but when deep one that does not refer onwards."""
        if depth > OPTIONAL_DEPTH:
            return min(
                branches, key=lambda branch: len(repr(branch)) + 1000 * ("$ref" in repr(branch))
            )
        return self._rng.choice(branches)

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise Unsatisfiable(f"the reference {reference!r} leads out of the document")
        node: object = self._root
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                node = cast("list[object]", node)[int(key)]
            else:
                node = cast("dict[str, object]", node)[key]
        return node

    def _kind(self, schema: Schema) -> str:
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._rng.choice(cast("list[str]", kinds))
        if isinstance(kinds, str):
            return kinds
        signs = {
            "object": ("properties", "required", "additionalProperties", "minProperties"),
            "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
            "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
        }
        for kind, keys in signs.items():
            if any(key in schema for key in keys):
                return kind
        return "string"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: Schema = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        value: dict[str, Any] = {}
        for name, part in properties.items():
            if name in required or (depth < OPTIONAL_DEPTH and self._rng.random() < 0.7):
                try:
                    value[name] = self.sample(part, depth + 1)
                except Unsatisfiable:
                    if name in required:
                        raise
        additional = schema.get("additionalProperties", True)
        for name in required:
            if name not in value:
                value[name] = self.sample(additional, depth + 1)
        for i in range(schema.get("minProperties", 0)):
            if len(value) >= schema["minProperties"]:
                break
            value.setdefault(f"key_{i}", self.sample(additional, depth + 1))
        return value

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        low = schema.get("minItems", 0)
        high = min(schema.get("maxItems", math.inf), max(low, 3))
        prefix: list[Any] = schema.get("prefixItems", [])
        items = schema.get("items", True)
        if items is False:
            high = min(high, len(prefix))
        length = low
        if depth < OPTIONAL_DEPTH:
            length = self._rng.randint(max(low, min(1, high)), max(low, high))
        values: list[Any] = []
        tries = 0
        while len(values) < length:
            part = prefix[len(values)] if len(values) < len(prefix) else items
            value = self.sample(part, depth + 1)
            tries += 1
            if not schema.get("uniqueItems") or all(repr(value) != repr(v) for v in values):
                values.append(value)
            elif tries > 200:
                if len(values) >= low:
                    break
                raise Unsatisfiable("too few distinct items")
        return values

    def _string(self, schema: Schema, depth: int) -> str:
        del depth
        form = _FORMATS.get(schema.get("format", ""))
        if form is not None:
            return form(self._rng)
        low, high = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        text = " ".join(self._rng.choice(_WORDS) for _ in range(self._rng.randint(1, 4)))
        if low > _MAX_TEXT_LENGTH:
            raise Unsatisfiable(f"a text of {low} characters is too long")
        if len(text) < low:
            text = (f"{text} {self._rng.choice(_WORDS)} " * (low // len(text) + 1))[:low]
        return text if len(text) <= high else text[: int(high)]

    def _number(self, schema: Schema, depth: int) -> int | float:
        del depth
        low, high = _bounds(schema)
        whole = schema.get("type") == "integer" or (
            isinstance(schema.get("type"), list) and "number" not in schema["type"]
        )
        step = schema.get("multipleOf", 1 if whole else None)
        if low is None:
            low = -10 if high is None else high - 100
        if high is None:
            high = max(low, 0) + 100
        if low > high:
            raise Unsatisfiable(f"no number lies between {low} and {high}")
        if step is not None:
            first, last = math.ceil(low / step), math.floor(high / step)
            if first > last:
                raise Unsatisfiable(f"no multiple of {step} lies between {low} and {high}")
            value = self._rng.randint(first, last) * step
            return int(value) if whole else value
        return min(max(round(self._rng.uniform(low, high), 3), low), high)


def _bounds(schema: Schema) -> tuple[Any, Any]:
    """Inclusive bounds; an exclusive bound moves inwards by one step, or by a millionth."""
    low, high = schema.get("minimum"), schema.get("maximum")
    step = schema.get("multipleOf", 1 if schema.get("type") == "integer" else None)
    under, over = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if under is True:  # the older spelling: a flag on `minimum`
        under, low = low, None
    if over is True:
        over, high = high, None
    if under is not None and under is not False:
        moved = (math.floor(under / step) + 1) * step if step else under + abs(under) * 1e-6 + 1e-6
        low = moved if low is None else max(low, moved)
    if over is not None and over is not False:
        moved = (math.ceil(over / step) - 1) * step if step else over - abs(over) * 1e-6 - 1e-6
        high = moved if high is None else min(high, moved)
    return low, high


def _merge(first: Schema, second: Schema) -> Schema:
    """A schema that asks for both."""
    merged = {**first, **second}
    for key in ("properties", "$defs", "definitions"):
        if key in first and key in second:
            merged[key] = {**first[key], **second[key]}
    if "required" in first and "required" in second:
        merged["required"] = [*first["required"], *second["required"]]
    for key, pick in (("minimum", max), ("maximum", min), ("minItems", max), ("maxItems", min)):
        if key in first and key in second:
            merged[key] = pick(first[key], second[key])
    if "enum" in first and "enum" in second:
        merged["enum"] = [value for value in first["enum"] if value in second["enum"]]
    return merged
