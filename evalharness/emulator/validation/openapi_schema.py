"""The first target's OpenAPI, as code: is a request valid, and what is wrong with it.

The document beside this module is the single source. Each of its schemas is compiled once into a
yes/no check, fast enough for every request; only a request that fails is walked again, for hints.
Keywords are those the document uses, with the meaning of OpenAPI 3.0 (JSON Schema
draft 4 plus ``nullable``): an integer is written without a fraction, and a schema that says nothing
but ``nullable`` allows anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import resources
from typing import Any, cast

import msgspec

Schema = dict[str, Any]
Check = Callable[[Any], bool]

_KNOWN = {
    *("type", "enum", "nullable", "properties", "required", "additionalProperties", "items"),
    *("anyOf", "oneOf", "minimum", "maximum", "description", "title", "default"),
    "discriminator",
}


@functools.cache
def openapi_document() -> Schema:
    """The whole OpenAPI document."""
    source = resources.files("evalharness.emulator.validation").joinpath("openapi.json")
    return msgspec.json.decode(source.read_bytes(), type=dict[str, Any])


def request_schema() -> Schema:
    """Schema of a chat-completion request."""
    operation = openapi_document()["paths"]["/v1/chat/completions"]["post"]
    return operation["requestBody"]["content"]["application/json"]["schema"]


@functools.cache
def request_check(*, any_model: bool) -> Check:
    """The yes/no check of a decoded request body."""
    return compile_schema(effective_schema(any_model=any_model))


@functools.cache
def effective_schema(*, any_model: bool) -> Schema:
    """The request schema with the model names the server takes.

    The document's enum holds one name and the provider's examples send another (without the
    maker), so both are taken; ``any_model`` takes every text.
    """
    schema = request_schema()
    model = dict(schema["properties"]["model"])
    if any_model:
        del model["enum"]
    else:
        model["enum"] = [
            *model["enum"],
            *(str(name).rpartition("/")[2] for name in model["enum"]),
        ]
    return {**schema, "properties": {**schema["properties"], "model": model}}


def compile_schema(schema: Schema) -> Check:
    """A function that tells whether a value is valid.

    Raises:
        ValueError: the schema uses a keyword this module does not know.
    """
    unknown = schema.keys() - _KNOWN
    if unknown:
        raise ValueError(f"schema keywords not understood: {sorted(unknown)}")
    if schema.get("nullable") and "type" not in schema and "enum" not in schema:
        return _anything
    checks = [make(schema) for key, make in _COMPILERS.items() if key in schema]
    check = _all_of(checks) if checks else _anything
    if schema.get("nullable"):
        return lambda value: value is None or check(value)
    return check


def _all_of(checks: list[Check]) -> Check:
    """All of the checks in turn; one and two checks are written out, for speed."""
    if len(checks) == 1:
        return checks[0]
    first, second, *rest = checks
    if not rest:
        return lambda value: first(value) and second(value)
    others = _all_of(rest)
    return lambda value: first(value) and second(value) and others(value)


def _anything(_: Any) -> bool:
    return True


def is_type(value: Any, name: str) -> bool:
    """Whether a decoded JSON value is of a schema type; booleans are no numbers."""
    return type(value) in _TYPES[name]


# A decoder makes exactly these types, so identity decides, and a bool is no int.
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "integer": (int,),
    "number": (int, float),
}


def _type(schema: Schema) -> Check:
    types = _TYPES[schema["type"]]
    if len(types) == 1:
        (json_type,) = types
        return lambda value: type(value) is json_type
    return lambda value: type(value) in types


def _enum(schema: Schema) -> Check:
    allowed = schema["enum"]
    return lambda value: isinstance(value, str) and value in allowed


def _minimum(schema: Schema) -> Check:
    bound = schema["minimum"]
    return lambda value: not is_type(value, "number") or value >= bound


def _maximum(schema: Schema) -> Check:
    bound = schema["maximum"]
    return lambda value: not is_type(value, "number") or value <= bound


def _items(schema: Schema) -> Check:
    check = compile_schema(schema["items"])
    return lambda value: not isinstance(value, list) or all(map(check, cast("list[Any]", value)))


def _required(schema: Schema) -> Check:
    names = frozenset(schema["required"])
    return lambda value: not isinstance(value, dict) or names <= value.keys()


def _properties(schema: Schema) -> Check:
    checks = {name: compile_schema(part) for name, part in schema["properties"].items()}

    def check(value: Any) -> bool:
        if isinstance(value, dict):
            for name, item in cast("dict[str, Any]", value).items():
                property_check = checks.get(name)
                if property_check is not None and not property_check(item):
                    return False
        return True

    return check


def _additional(schema: Schema) -> Check:
    if schema["additionalProperties"] is not False:
        rest = compile_schema(schema["additionalProperties"])
        known = schema.get("properties", {}).keys()

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            fields = cast("dict[str, Any]", value)
            return all(rest(item) for name, item in fields.items() if name not in known)

        return check
    names = frozenset(schema.get("properties", {}))
    return lambda value: not isinstance(value, dict) or value.keys() <= names


def _any_of(schema: Schema) -> Check:
    checks = [compile_schema(part) for part in schema["anyOf"]]
    return lambda value: any(check(value) for check in checks)


def _one_of(schema: Schema) -> Check:
    checks = [compile_schema(part) for part in schema["oneOf"]]
    return lambda value: sum(check(value) for check in checks) == 1


_COMPILERS: dict[str, Callable[[Schema], Check]] = {
    "type": _type,
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "required": _required,
    "additionalProperties": _additional,
    "properties": _properties,
    "items": _items,
    "anyOf": _any_of,
    "oneOf": _one_of,
}
