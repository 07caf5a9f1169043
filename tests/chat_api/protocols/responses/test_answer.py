"""Answers of the Responses API: any response object becomes the Reply that it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.chat_api.protocols import get_protocol
from evalharness.chat_api.response import interpret
from evalharness.records import ErrorKind, Outcome, Reply, Status
from tests.chat_api.protocols.responses.samples import (
    CALL,
    CITATION,
    LOGPROBS,
    MESSAGE,
    REASONING,
    message,
    response,
    text_part,
)
from tests.chat_api.test_response import exchange

PROTOCOL = get_protocol("responses")
REFUSAL = {"type": "refusal", "refusal": "I cannot."}
CUT = {"reason": "max_output_tokens"}


def reply_to(top: Any) -> Reply:
    """The reply that an unstreamed body gives."""
    return interpret(exchange(json.dumps(top).encode()), streamed=False, protocol=PROTOCOL)


def test_a_response_fills_every_field() -> None:
    """Text, reasoning, call, notes, log probabilities, tokens; the JSON stays as it came."""
    reply = reply_to(response())
    assert (reply.outcome, reply.status) == (Outcome.DELIVERED, Status.OK)
    assert (reply.text, reply.reasoning) == ("Grüße 🙂", "First.\n\nThen.")
    assert (reply.refusal, reply.finish_reason) == (None, "tool_calls")
    assert json.loads(reply.tool_calls_json or "") == [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    ]
    assert json.loads(reply.annotations_json or "") == [CITATION]
    assert json.loads(reply.logprobs_json or "") == {"content": LOGPROBS}
    assert (reply.response_model, reply.response_id) == ("gpt-4.1-2025-04-14", "resp_1")
    assert (reply.service_tier, reply.response_created) == ("default", 1741476542)
    usage = reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 20, 50)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (10, 4, 8)
    assert json.loads(reply.response_json or "") == response()


@pytest.mark.parametrize(
    ("top", "status", "finish", "text"),
    [
        (response([message(text_part("a"), text_part("b"))]), Status.OK, "stop", "ab"),
        (response([message(text_part("a")), message(text_part("b"))]), Status.OK, "stop", "ab"),
        (response([{**MESSAGE, "content": "a"}]), Status.OK, "stop", "a"),
        (response([message(text_part("a"))], None), Status.OK, None, "a"),
        (response([message(text_part("a"))], created_at=1.5), Status.OK, "stop", "a"),
        (response([CALL]), Status.OK, "tool_calls", None),
        (response([]), Status.EMPTY, "stop", None),
        (response([REASONING]), Status.EMPTY, "stop", None),
        (response([message(REFUSAL)]), Status.REFUSED, "stop", None),
        (
            response([message(text_part("a"))], "incomplete", incomplete_details=CUT),
            Status.TRUNCATED,
            "length",
            "a",
        ),
        (response([], "incomplete", incomplete_details=CUT), Status.TRUNCATED, "length", None),
        (
            response([], "incomplete", incomplete_details={"reason": "content_filter"}),
            Status.REFUSED,
            "content_filter",
            None,
        ),
        (
            response([message(text_part("a"))], "incomplete", incomplete_details={"reason": "new"}),
            Status.TRUNCATED,
            "incomplete",
            "a",
        ),
    ],
)  # fmt: skip
def test_status_of_an_answer(
    top: dict[str, Any], status: Status, finish: str | None, text: str | None
) -> None:
    """What is delivered, by its status and what it has."""
    reply = reply_to(top)
    assert (reply.outcome, reply.status) == (Outcome.DELIVERED, status)
    assert (reply.finish_reason, reply.text) == (finish, text)
    assert reply.usage.total_tokens == 50


@pytest.mark.parametrize(
    ("top", "kind", "outcome", "words"),
    [
        (
            response([], "failed", usage=None, error={"code": "server_error", "message": "oops"}),
            ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "oops",
        ),
        (
            response([], "failed", usage=None, error={"code": "rate_limit_exceeded"}),
            ErrorKind.RATE_LIMITED, Outcome.REJECTED, "error object",
        ),
        (
            response([], "failed", usage=None, error={"code": "invalid_image_url", "message": "u"}),
            ErrorKind.BAD_REQUEST, Outcome.REJECTED, "u",
        ),
        (
            response([], "failed", error={"code": "bio_policy", "message": "no"}),
            ErrorKind.CONTENT_FILTER, Outcome.DELIVERED, "no",
        ),
        # Tokens were generated: what comes too late to be a refusal may be billed.
        (
            response(None, "failed", error={"code": "rate_limit_exceeded", "message": "slow"}),
            ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "slow",
        ),
        (response([], "failed", usage=None), ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "no reason"),
        (response([], "cancelled"), ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "was cancelled"),
        (response([], "queued"), ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "still queued"),
        (response([], "in_progress"), ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "in progress"),
        (
            response([], "completed", error={"message": "oops"}),
            ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "oops",
        ),
        ({"object": "response"}, ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "no choices"),
        (
            {"error": {"message": "full", "code": "overloaded"}},
            ErrorKind.UNAVAILABLE, Outcome.REJECTED, "full",
        ),
        ({"detail": "Not Found"}, ErrorKind.BAD_RESPONSE, Outcome.IN_DOUBT, "Not Found"),
    ],
)  # fmt: skip
def test_a_failure_is_a_status_and_no_text(
    top: dict[str, Any], kind: ErrorKind, outcome: Outcome, words: str
) -> None:
    """Whatever has come is in the stored body alone."""
    reply = reply_to(top)
    assert (reply.outcome, reply.error_kind, reply.text) == (outcome, kind, None)
    assert words in (reply.error_message or "")
    assert json.loads(reply.response_json or "") == top
    expected = 50 if top.get("usage") else None
    assert reply.usage.total_tokens == expected


def test_reasoning_itself_is_preferred_to_its_summary() -> None:
    """Servers of open models show it; encrypted reasoning is none."""
    shown = {**REASONING, "content": [{"type": "reasoning_text", "text": "hm"}]}
    hidden = {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "x"}
    reply = reply_to(response([shown, hidden, {**REASONING, "summary": None}, MESSAGE]))
    assert (reply.reasoning, reply.text) == ("hm", "Grüße 🙂")


def test_a_call_of_another_kind_is_an_output() -> None:
    """A tool without a schema has a text as input."""
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}
    reply = reply_to(response([custom]))
    assert (reply.status, reply.finish_reason) == (Status.OK, "tool_calls")
    assert json.loads(reply.tool_calls_json or "")[0]["custom"] == {"name": "sh", "input": "ls"}


def test_a_server_that_answers_with_a_chat_completion_is_read() -> None:
    """An answer that was paid for is not lost to its form."""
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    assert reply_to({"id": "c", "choices": [choice]}).text == "Hi"
