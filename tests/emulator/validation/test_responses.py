"""Everything the server says to a valid request fits the OpenAPI, by a third party's validator."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import HealthCheck, example, given, settings

from tests.emulator.conftest import MESSAGES, Server
from tests.emulator.openapi_requests import amended_chunk_schema, draft4, requests, response_schema

ARGUMENTS = ("--profile", "aimlapi")
WHOLE = jsonschema.Draft4Validator(draft4(response_schema(streamed=False)))
CHUNK = jsonschema.Draft4Validator(draft4(amended_chunk_schema()))

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "required": ["a"]}},
}
PLAIN: dict[str, Any] = {"model": "qwen-plus", "messages": MESSAGES}


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(requests())
@example({**PLAIN, "tools": [TOOL], "stream": True, "tool_choice": "required"})
@example({**PLAIN, "tools": [TOOL], "logprobs": True, "parallel_tool_calls": True})
@example({**PLAIN, "stream": True, "logprobs": True, "top_logprobs": 20, "n": 2})
@example({**PLAIN, "n": 10**30, "max_tokens": 1e300, "seed": 10**50})
@example({**PLAIN, "messages": [], "emulator_fault": "refusal", "stream": True})
@example({**PLAIN, "emulator_fault": "content_filter", "logprobs": True})
def test_every_answer_fits_the_openapi(server: Server, body: dict[str, Any]) -> None:
    """A valid request gets 200 and a response, or chunks, valid for the document.

    The chunks' schema has one amendment: ``finish_reason`` may be null before the last piece.
    """
    answer = server.client.post(f"{server.base_url}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    if not body.get("stream"):
        assert answer.headers["content-type"] == "application/json"
        WHOLE.validate(answer.json())
        return
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = answer.content.decode().split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    for block in blocks[:-2]:
        CHUNK.validate(json.loads(block.removeprefix("data: ")))
