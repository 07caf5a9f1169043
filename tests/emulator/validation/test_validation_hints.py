"""What a hint says of a field or value that is nearly right."""

from __future__ import annotations

from evalharness.emulator.validation import openapi_schema
from evalharness.emulator.validation.validation_hints import hints_text, request_hints


def test_hints_name_the_fields() -> None:
    """A fault deep in a message is named by its path, in the API's opening words."""
    body = {"model": "m", "messages": [{"role": "assistant", "content": 7}], "temperature": 3}
    found = request_hints(openapi_schema.effective_schema(any_model=True), body)
    assert {hint.path for hint in found} == {"messages.0.content", "temperature"}
    assert hints_text(found).startswith("Body validation error")
