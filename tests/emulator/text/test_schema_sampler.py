"""Values made for a JSON schema are valid, and any schema comes to an end."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.emulator.text.schema_sampler import Unsatisfiable, sample_instance

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


SCALARS = st.one_of(
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-50, 50),
        st.integers(0, 50),
    ),
    st.builds(
        lambda low, more, step: (
            {"type": "integer", "exclusiveMinimum": low, "maximum": low + more}
            | ({"multipleOf": step} if more >= step else {})
        ),
        st.integers(-50, 50),
        st.integers(1, 50),
        st.integers(1, 7),
    ),
    st.builds(
        lambda low, more: {
            "type": "number",
            "exclusiveMinimum": low,
            "exclusiveMaximum": low + more,
        },
        st.floats(-50, 50),
        st.floats(1, 50),
    ),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(ANY_JSON, min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, ANY_JSON),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}, True]
    ),
    st.sampled_from(
        [
            {"type": "string", "format": form}
            for form in ("date", "date-time", "email", "uuid", "ipv4", "ipv6", "uri", "time")
        ]
    ),
    st.just({"$ref": "#/$defs/thing"}),
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b", "c", "d"])
    return st.one_of(
        st.builds(
            lambda properties, required, extra: {
                "type": "object",
                "properties": properties,
                "required": sorted(required & properties.keys()),
                "additionalProperties": extra,
            },
            st.dictionaries(names, inner, max_size=4),
            st.sets(names),
            st.booleans(),
        ),
        st.builds(
            lambda items, low, more: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(SCALARS, _objects, max_leaves=8), st.integers(0, 10))
def test_instances_are_valid_for_their_schema(schema: Any, seed: int) -> None:
    """A value made for a schema is valid by a third party's validator, formats included."""
    whole = {
        "$defs": {
            "thing": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "parts": {"type": "array", "items": {"$ref": "#/$defs/thing"}},
                },
                "required": ["name", "parts"],
            }
        },
        "allOf": [schema],
    }
    value = sample_instance(whole, random.Random(seed))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    assert jsonschema.Draft202012Validator(whole, format_checker=checker).is_valid(value)
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_distinct_items_and_one_of() -> None:
    """``uniqueItems``, ``oneOf``, ``prefixItems``, ``minProperties`` and draft-4 bounds hold."""
    schemas: list[dict[str, Any]] = [
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"oneOf": [{"type": "integer", "minimum": 5}, {"type": "string"}]},
        {"type": "array", "prefixItems": [{"const": "x"}], "items": False, "minItems": 1},
        {"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}},
        {"type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 2},
        {"allOf": [{"type": "integer", "minimum": 1}, {"maximum": 3}]},
    ]
    for schema in schemas:
        for seed in range(20):
            jsonschema.validate(
                sample_instance(schema, random.Random(seed)),
                schema,
                jsonschema.Draft202012Validator,
            )
    old = {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "maximum": 2}
    assert sample_instance(old, random.Random(0)) == 2


@given(ANY_JSON)
def test_any_schema_comes_to_an_end(schema: Any) -> None:
    """What is no schema gives a value or a finding, never another exception and never no end."""
    with contextlib.suppress(Unsatisfiable):
        value = sample_instance(schema, random.Random(0))
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_hopeless_schemas_are_found_out() -> None:
    """Endless, contradictory and enormous schemas are refused in bounded time."""
    hopeless: list[Any] = [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"type": "string", "minLength": 10**9},
        {"$ref": "https://example.com/elsewhere"},
        False,
        {"enum": []},
    ]
    for schema in hopeless:
        with pytest.raises(Unsatisfiable):
            sample_instance(schema, random.Random(0))
