"""The compiled checks of requests agree with a JSON schema validator."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.emulator.validation import openapi_schema
from evalharness.emulator.validation.validation_hints import request_hints
from tests.emulator.openapi_requests import amended_chunk_schema, draft4, requests, response_schema

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
    assert bool(request_hints(openapi_schema.request_schema(), body)) is not original(body)


def test_unknown_keywords_are_refused() -> None:
    """A schema the compiler does not understand whole is never half obeyed."""
    with pytest.raises(ValueError, match="pattern"):
        openapi_schema.compile_schema({"type": "string", "pattern": "x"})


@pytest.mark.parametrize("streamed", [False, True])
def test_the_seed_schema_knows_a_null_finish_reason_nowhere(streamed: bool) -> None:
    """The one amendment the tests make to the document is needed, and is the only one."""
    seed = response_schema(streamed=streamed)
    reason = seed["properties"]["choices"]["items"]["properties"]["finish_reason"]
    assert "nullable" not in reason
    if streamed:
        amended = amended_chunk_schema()
        del amended["properties"]["choices"]["items"]["properties"]["finish_reason"]["nullable"]
        assert amended == seed
