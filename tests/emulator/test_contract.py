"""Validation: the compiled checks, the hints, and the values made for schemas."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.emulator.text.schema_sampler import Unsatisfiable, instance
from evalharness.emulator.validation import openapi_schema
from evalharness.emulator.validation.validation_hints import hints, sentence
from tests.emulator.schemas import amended_chunk_schema, draft4, requests

VALIDATOR = jsonschema.Draft4Validator(draft4(openapi_schema.request_schema()))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def bent_requests(draw: st.DrawFn) -> Any:
    """Valid requests with one place replaced by anything."""
    body: Any = draw(requests(model="alibaba/qwen-plus"))
    place, key = body, draw(st.sampled_from(sorted(body)))
    while isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
        place = place[key]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(list(keys)))
    if draw(st.booleans()):
        place[key] = draw(ANY_JSON)
    else:
        del place[key]
    return body


@settings(max_examples=300, deadline=None)
@given(bent_requests() | ANY_JSON)
def test_the_compiled_check_agrees_with_jsonschema(body: Any) -> None:
    """A third party's validator and ours say the same; there are hints exactly for faults."""
    original = openapi_schema.compile_schema(openapi_schema.request_schema())
    assert original(body) is VALIDATOR.is_valid(body)
    assert bool(hints(openapi_schema.request_schema(), body)) is not original(body)


def test_hints_name_the_fields() -> None:
    """A fault deep in a message is named by its path, in the API's opening words."""
    body = {"model": "m", "messages": [{"role": "assistant", "content": 7}], "temperature": 3}
    found = hints(openapi_schema.effective_schema(any_model=True), body)
    assert {hint.path for hint in found} == {"messages.0.content", "temperature"}
    assert sentence(found).startswith("Body validation error")


def test_unknown_keywords_are_refused() -> None:
    """A schema the compiler does not understand whole is never half obeyed."""
    with pytest.raises(ValueError, match="pattern"):
        openapi_schema.compile_schema({"type": "string", "pattern": "x"})


@pytest.mark.parametrize("streamed", [False, True])
def test_the_seed_schema_knows_a_null_finish_reason_nowhere(streamed: bool) -> None:
    """The one amendment the tests make to the document is needed, and is the only one."""
    seed = openapi_schema.response_schema(streamed=streamed)
    reason = seed["properties"]["choices"]["items"]["properties"]["finish_reason"]
    assert "nullable" not in reason
    if streamed:
        amended = amended_chunk_schema()
        del amended["properties"]["choices"]["items"]["properties"]["finish_reason"]["nullable"]
        assert amended == seed


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
    value = instance(whole, random.Random(seed))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(whole, format_checker=checker).validate(value)
    json.dumps(value, allow_nan=False)


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
                instance(schema, random.Random(seed)), schema, jsonschema.Draft202012Validator
            )
    old = {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "maximum": 2}
    assert instance(old, random.Random(0)) == 2


@given(ANY_JSON)
def test_any_schema_comes_to_an_end(schema: Any) -> None:
    """What is no schema gives a value or a finding, never another exception and never no end."""
    with contextlib.suppress(Unsatisfiable):
        instance(schema, random.Random(0))


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
            instance(schema, random.Random(0))
