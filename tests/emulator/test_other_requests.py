"""Requests that the first target's OpenAPI does not have: taken by a generic server, not by that one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.request_intake import RequestRefusedError, RequestValidator
from evalharness.emulator.validation.parsed_request import parse_request

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
TEXT = {"type": "text", "text": "What is this?"}


def body(*messages: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"model": "qwen-plus", "messages": list(messages), **more}).encode()


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [TEXT, IMAGE]},
        {"role": "user", "content": [IMAGE]},
    ],
)
def test_developer_messages_and_images(message: dict[str, Any]) -> None:
    """A generic server takes them as they are; the first target refuses them."""
    raw = body(message, {"role": "user", "content": "hi"})
    valid = RequestValidator(EmulatorOptions()).valid_body(raw)
    assert valid["messages"][0] == message
    with pytest.raises(RequestRefusedError):
        RequestValidator(EmulatorOptions(profile="aimlapi")).valid_body(raw)


def test_either_limit_holds() -> None:
    """`max_completion_tokens` bounds an answer as `max_tokens` does."""
    message = {"role": "user", "content": "hi"}
    validator = RequestValidator(EmulatorOptions())
    for name in ("max_tokens", "max_completion_tokens"):
        assert parse_request(validator.valid_body(body(message, **{name: 7})), 1).limit == 7
