"""Token counts are read wherever a server puts them, and however it spells them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.chat_api.response import interpret
from evalharness.records import Reply, Usage
from tests.chat_api.test_response import exchange

TOKENS = {"prompt_tokens": 70, "completion_tokens": 11, "total_tokens": 81}


def _reply(document: dict[str, Any]) -> Reply:
    body = json.dumps(document).encode()
    return interpret(exchange(body), streamed=False)


def _streamed(*chunks: dict[str, Any]) -> Reply:
    events = [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]
    return interpret(exchange("".join(events).encode()), streamed=True)


def _completion(choice: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Paris"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"} | (choice or {})],
            **top}  # fmt: skip


def _chunk(text: str, choice: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}} | (choice or {})], **top}


STOP = {"finish_reason": "stop"}


@pytest.mark.parametrize(
    ("choice", "top"),
    [
        ({}, {"usage": TOKENS}),
        ({"usage": TOKENS}, {}),
        ({"usage": TOKENS}, {"usage": None}),
        ({"usage": TOKENS}, {"usage": {}}),
        ({}, {"x_groq": {"id": "r", "usage": TOKENS}}),
    ],
)
def test_places(choice: dict[str, Any], top: dict[str, Any]) -> None:
    """At the top, in the choice, under x_groq: streamed or not, the same counts."""
    for reply in (
        _reply(_completion(choice, **top)),
        _streamed(_chunk("Par"), _chunk("is", STOP | choice, **top)),
        _streamed(_chunk("Par"), _chunk("is"), _chunk("", STOP | choice, **top)),
    ):
        assert reply.text == "Paris"
        assert reply.usage == Usage(**TOKENS)


def test_a_running_usage_ends_with_its_last_values() -> None:
    """Every chunk has a usage: the last counts, with what only an earlier one said."""
    reply = _streamed(
        _chunk("a", usage={"prompt_tokens": 5, "completion_tokens": 1, "cached_tokens": 3}),
        _chunk("b", usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
        _chunk("", STOP, usage={"completion_tokens": 3, "total_tokens": 8, "cached_tokens": None}),
        {"choices": [], "usage": None},
    )
    assert reply.usage == Usage(5, 3, 8, 3)


def test_choices_with_different_usages_are_not_guessed_at() -> None:
    """Whether the usages of two choices add up is not known, so no count is."""
    other = {"index": 1, "message": {"content": "x"}, "finish_reason": "stop"}
    document = _completion({"usage": TOKENS})
    document["choices"].append(other | {"usage": TOKENS | {"completion_tokens": 12}})
    assert _reply(document).usage == Usage()
    document["choices"][1]["usage"] = TOKENS
    assert _reply(document).usage == Usage(**TOKENS)


@pytest.mark.parametrize(
    ("more", "cached", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 33}}, 33, None),
        ({"input_tokens_details": {"cached_tokens": 33}}, 33, None),
        ({"cached_tokens": 33}, 33, None),
        ({"prompt_cache_hit_tokens": 33, "prompt_cache_miss_tokens": 37}, 33, None),
        ({"prompt_cache_hit_tokens": 0}, 0, None),
        ({"cache_read_input_tokens": 33, "cache_creation_input_tokens": 20}, 33, 20),
        # A gateway that fills what it does not know with 0.
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cache_read_input_tokens": 33}, 33, None),
        ({"prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 20}}, 1, 20),
        ({"prompt_tokens_details": {"cache_creation_tokens": 20}}, None, 20),
        ({"prompt_tokens_details": {"cache_creation_input_tokens": 20}}, None, 20),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5}},
            None, 20,
        ),
        ({"cached_tokens": "33", "prompt_cache_hit_tokens": -1}, None, None),
    ],
)  # fmt: skip
def test_cache_counts(more: dict[str, Any], cached: int | None, written: int | None) -> None:
    """What was read from a cache and written to it, in every spelling; 0 is known, not unknown."""
    for reply in (
        _reply(_completion(usage=TOKENS | more)),
        _streamed(_chunk("Paris", STOP), {"choices": [], "usage": TOKENS | more}),
    ):
        assert (reply.usage.cached_tokens, reply.usage.cache_write_tokens) == (cached, written)
        assert reply.usage.prompt_tokens == 70


def test_reasoning_beside_the_details() -> None:
    """Reasoning tokens are read without their details, too."""
    assert _reply(_completion(usage=TOKENS | {"reasoning_tokens": 4})).usage.reasoning_tokens == 4
    details = {"output_tokens_details": {"reasoning_tokens": 6}}
    assert _reply(_completion(usage=TOKENS | details)).usage.reasoning_tokens == 6


def test_the_form_of_anthropic_excludes_the_cache_by_definition() -> None:
    """``input_tokens`` beside cache counts and without a total: the prompt is their sum."""
    counts = {"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 400}
    written = counts | {"cache_creation_input_tokens": 50}
    assert _reply(_completion(usage=written)).usage == Usage(
        prompt_tokens=460, completion_tokens=7, cached_tokens=400, cache_write_tokens=50
    )
    # A total decides by itself, when it is priced.
    assert _reply(_completion(usage=counts | {"total_tokens": 417})).usage.prompt_tokens == 10
