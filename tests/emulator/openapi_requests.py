"""The seed's OpenAPI for a third party's validator, and requests drawn from it."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from evalharness.emulator.validation import openapi_schema


def draft4(schema: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` in words JSON Schema has."""
    if isinstance(schema, list):
        return [draft4(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: draft4(part) for key, part in schema.items() if key != "nullable"}
    if schema.get("nullable") and "type" in schema:
        return {"anyOf": [plain, {"enum": [None]}]}
    return plain


def response_schema(*, streamed: bool) -> dict[str, Any]:
    """Schema of a response, or of one chunk of a streamed response, as the document has it."""
    kind = "text/event-stream" if streamed else "application/json"
    operation = openapi_schema.openapi_document()["paths"]["/v1/chat/completions"]["post"]
    return operation["responses"]["200"]["content"][kind]["schema"]


def amended_chunk_schema() -> dict[str, Any]:
    """The schema of a chunk with the one thing it lacks: a ``finish_reason`` not there yet."""
    schema = copy.deepcopy(response_schema(streamed=True))
    schema["properties"]["choices"]["items"]["properties"]["finish_reason"]["nullable"] = True
    return schema


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=3)
CONTENT = TEXT | PARTS
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXT,
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": TEXT, "arguments": TEXT}),
        }
    ),
    max_size=2,
)
MESSAGE = st.one_of(
    st.fixed_dictionaries({"role": st.just("user"), "content": CONTENT}, optional={"name": TEXT}),
    st.fixed_dictionaries({"role": st.just("system"), "content": CONTENT}),
    st.fixed_dictionaries(
        {"role": st.just("tool"), "content": TEXT, "tool_call_id": TEXT},
        optional={"name": st.none() | TEXT},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant")},
        optional={"content": CONTENT, "tool_calls": CALLS, "refusal": st.none() | TEXT},
    ),
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "object", "properties": {"e": {"enum": ["x", "y"]}, "n": {"type": "number"}}},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {},
        {"type": 7},
    ]
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": st.sampled_from(["f", "g", "h"]), "parameters": SCHEMAS},
                optional={"description": TEXT, "strict": st.none() | st.booleans()},
            ),
        }
    ),
    max_size=3,
)
CHOICE = st.sampled_from(["none", "auto", "required"]) | st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": st.sampled_from(["f", "g", "z"])}),
    }
)
FORMAT = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "json_object"])}),
    st.fixed_dictionaries(
        {
            "type": st.just("json_schema"),
            "json_schema": st.fixed_dictionaries({"name": TEXT}, optional={"schema": SCHEMAS}),
        }
    ),
)
PENALTY = st.none() | st.floats(-2, 2)


def requests(model: str = "qwen-plus") -> st.SearchStrategy[dict[str, Any]]:
    """Valid requests, every property of the OpenAPI among them."""
    return st.fixed_dictionaries(
        {"model": st.just(model), "messages": st.lists(MESSAGE, max_size=4)},
        optional={
            "max_tokens": st.integers(1, 60) | st.floats(1, 60),
            "stream": st.booleans(),
            "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
            "tools": TOOLS,
            "tool_choice": CHOICE,
            "parallel_tool_calls": st.booleans(),
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0.01, 1),
            "stop": st.none() | TEXT | st.lists(TEXT, max_size=5) | st.integers(),
            "frequency_penalty": PENALTY,
            "presence_penalty": PENALTY,
            "prediction": st.fixed_dictionaries({"type": st.just("content"), "content": CONTENT}),
            "seed": st.integers(1, 2**70),
            "response_format": FORMAT,
            "n": st.none() | st.integers(1, 4),
            "logprobs": st.none() | st.booleans(),
            "top_logprobs": st.none() | st.integers(0, 20) | st.floats(0, 20),
            "enable_thinking": st.booleans(),
            "thinking_budget": st.integers(0, 20),
        },
    )
