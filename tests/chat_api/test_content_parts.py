"""Messages with other parts than text, the developer role, and what parts cost in tokens."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.chat_api.content_parts import media_parts, prompt_token_bound, text_bytes
from evalharness.chat_api.messages import check_messages
from evalharness.errors import DatasetError

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1000}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "A" * 500, "format": "mp3"}}


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_a_developer_message_is_a_message() -> None:
    """The role that reasoning models have in place of system."""
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert check_messages(messages, where="row") == messages


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        (user({"type": "image_url", "image_url": {"url": "ftp://a/b.png"}}), "image_url.url"),
        (user({"type": "image_url", "image_url": "https://a/b.png"}), "image_url` must be"),
        (user({"type": "image_url", "image_url": {}}), "image_url.url"),
        (user({"type": "video", "video": {}}), "content[0].type"),
        (user("text"), "content[0]"),
        (user(), "content"),
        (user({"type": "input_audio", "input_audio": {"data": "A"}}), "input_audio.format"),
        (user({"type": "file", "file": {"filename": "a.pdf"}}), "needs file_data or file_id"),
        (user({"type": "text", "text": 1}), "content[0].text"),
        ([{"role": "system", "content": [IMAGE]}], "messages[0].content[0]"),
        ([{"role": "developer", "content": [IMAGE]}], "messages[0].content[0]"),
    ],
)
def test_a_part_of_another_shape_is_named(messages: list[dict[str, Any]], named: str) -> None:
    """The message says which part of which message, before anything is sent."""
    with pytest.raises(DatasetError) as caught:
        check_messages(messages, where="row")
    assert named in caught.value.message


def test_the_bound_of_prompt_tokens() -> None:
    """Bytes for texts, what the profile states for parts, unknown for any other."""
    messages = user({"type": "text", "text": "hi"}, IMAGE, IMAGE, AUDIO)
    assert media_parts(messages) == {"image_url": 2, "input_audio": 1}
    assert text_bytes(3000, messages) < 3000 - 2500
    text = text_bytes(3000, messages)
    known = {"image_url": 1105, "input_audio": 300}
    assert prompt_token_bound(3000, messages, known) == text + 2 * 1105 + 300
    assert prompt_token_bound(3000, messages, {"image_url": 1105}) is None
    plain = [{"role": "user", "content": "hi"}]
    assert prompt_token_bound(70, plain, {}) == prompt_token_bound(70, None, {}) == 70
