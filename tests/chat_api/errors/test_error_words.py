"""What an error is about by its words, in phrases of the kind that servers use."""

from __future__ import annotations

import json

import pytest

from evalharness.chat_api.errors.error_body import ServerError
from evalharness.chat_api.errors.error_words import is_about_content, is_out_of_credit, is_too_long
from evalharness.records import ErrorKind, Outcome, Reply, Status
from tests.chat_api.test_response import said


def refused(status: int, message: str, code: str | None = None) -> Reply:
    body = {"error": {"message": message, "code": code}}
    return said(json.dumps(body).encode(), status=status)


NO_MONEY = [
    "The team has used all available credits.",
    "The project reached its monthly spending limit.",
    "Account acct-1 <k-2> is suspended due to insufficient balance, please recharge",
    "The credit balance is too low to use this API.",
    "Insufficient Balance",
    "The monthly included credits are used up",
    "Exceeded your monthly included credits.",
    "Sorry, the account balance is insufficient",
    "Budget has been exceeded! Cost: 0.2, budget: 0.1",
    "No credits left on this key",
    "Not enough credits",
    "You have run out of credits",
    "Billing hard limit has been reached",
    "The account has an overdue balance",
    "账户已欠费，请充值",
    "Free credits have been exhausted",
]
MONEY_IS_NO_CAUSE = [
    "Rate limit exceeded: free models per day. Add 10 credits to unlock 1000 requests per day",
    "Rate limit reached. Add a payment method under account/billing to raise your limits.",
    "You exceeded your current quota, please check your plan and billing details. Retry in 20 s.",
    "Too many requests; no credit card is needed to upgrade",
    "There is no need to add credits",
    "slow down",
]


@pytest.mark.parametrize("status", [402, 403, 429])
@pytest.mark.parametrize("message", NO_MONEY)
def test_no_money_is_no_rate_limit(message: str, status: int) -> None:
    """Words that say the money is gone mean the account, whatever the status."""
    reply = refused(status, message)
    assert (reply.error_kind, reply.outcome) == (ErrorKind.OUT_OF_CREDIT, Outcome.REJECTED)


@pytest.mark.parametrize("message", MONEY_IS_NO_CAUSE)
def test_a_rate_limit_may_speak_of_money(message: str) -> None:
    """A 429 that sells credits, or sends to the page on billing, is waited out."""
    assert refused(429, message).error_kind is ErrorKind.RATE_LIMITED


def test_a_request_that_is_echoed_is_not_searched_for_money() -> None:
    """Behind the server's own words may stand the prompt."""
    prompt = "Write a story on a man with insufficient funds."
    for status, kind in ((400, ErrorKind.BAD_REQUEST), (500, ErrorKind.SERVER_ERROR)):
        message = "messages.0 is wrong: " + "x" * 300 + prompt
        assert refused(status, message).error_kind is kind
    low = refused(400, "The credit balance is too low")
    assert low.error_kind is ErrorKind.OUT_OF_CREDIT


TOO_LONG = [
    "the prompt does not fit the context window of 512 tokens",
    "This model's maximum context length is 4097 tokens. However, you sent 5000.",
    "the request exceeds the available context size",
    "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    "prompt is too long: 209303 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 174167 + 64000 > 200000",
    "The input (1000 tokens) is longer than the model's context length (100 tokens).",
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
    "Range of input length should be [1, 30720]",
    "The input token count (12) exceeds the maximum number of tokens allowed (10).",
    "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    "Requested tokens (5000) exceed context window of 512",
    "Input tokens exceed the configured limit of 272000 tokens.",
    "The total length of all messages is too long.",
    "Too many input tokens",
    "Context size has been exceeded.",
    "Request too large on tokens per min (TPM): Limit 30000, Requested 40000.",
]
NOT_TOO_LONG = [
    "Rate limit reached on tokens per min (TPM): Limit 10000, Used 9000, Requested 2000.",
    "This would exceed the rate limit of 30,000 input tokens per minute",
    "Too many tokens, please wait before trying again.",
    "context deadline exceeded",
    "CUDA out of memory",
    "The server is overloaded",
]


@pytest.mark.parametrize("status", [400, 413, 422, 429, 500, 503])
@pytest.mark.parametrize("message", TOO_LONG)
def test_a_request_that_is_too_long_is_final(message: str, status: int) -> None:
    """No other time makes it shorter: rejected for good under every status."""
    reply = refused(status, message)
    assert (reply.error_kind, reply.outcome) == (ErrorKind.BAD_REQUEST, Outcome.REJECTED)


@pytest.mark.parametrize("message", NOT_TOO_LONG)
def test_too_much_at_once_is_not_too_long(message: str) -> None:
    """Limits in time, and other troubles, are tried again."""
    assert refused(429, message).error_kind is ErrorKind.RATE_LIMITED
    assert refused(503, message).error_kind is ErrorKind.UNAVAILABLE


CONTENT = [
    "The answer was filtered, because the prompt triggered the content policy.",
    "This model requires moderation and the input was flagged. No credits were charged.",
    "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_X",
    "InternalError.DataInspectionFailed: Input data may contain inappropriate content.",
    "The request was rejected because it was considered high risk",
    "Output blocked by content filtering policy",
    "Invalid prompt: it was flagged as potentially violating the usage policy.",
    "Your request was rejected as a result of our safety system.",
    "Violated guardrail policy",
]
NOT_CONTENT = [
    "Unknown parameter: 'moderation'",
    "Unrecognized argument: content_filter",
    "Your account has been flagged for violating our usage policies",
    "Access to this model is not allowed",
    "Validation failed: temperature must be at most 2",
]


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("message", CONTENT)
def test_a_filter_s_no_is_a_refusal(message: str, status: int) -> None:
    """It is the answer to this prompt: refused, with the words, and never asked again."""
    reply = refused(status, message)
    assert (reply.status, reply.outcome) == (Status.REFUSED, Outcome.DELIVERED)
    assert (reply.error_kind, reply.text) == (ErrorKind.CONTENT_FILTER, None)
    assert reply.error_message == f"HTTP {status}: {message}"


@pytest.mark.parametrize("message", NOT_CONTENT)
def test_other_refusals_stay_errors(message: str) -> None:
    """Naming the topic is not enough, and an account that is blocked is no prompt."""
    assert refused(400, message).error_kind is ErrorKind.BAD_REQUEST
    assert refused(403, message).error_kind is ErrorKind.FORBIDDEN


def test_codes_decide_without_words() -> None:
    """Codes at any depth; a content filter by its inner code alone."""
    inner = {"error": {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    assert said(json.dumps(inner).encode(), status=400).status is Status.REFUSED
    codes = {"budget_exceeded": ErrorKind.OUT_OF_CREDIT, "content_filter": ErrorKind.CONTENT_FILTER}
    for code, kind in codes.items():
        assert refused(400, "m", code).error_kind is kind
    assert refused(500, "m", "context_length_exceeded").error_kind is ErrorKind.BAD_REQUEST


@pytest.mark.parametrize("unit", ["insufficient ", "content ", "flagged ", "context size ", "a "])
def test_hostile_words_take_no_time(unit: str) -> None:
    """The longest message that is stored, of words the patterns look for."""
    error = ServerError((unit * 2000)[:2000], None)
    assert not any([is_out_of_credit(error, 429), is_about_content(error), is_too_long(error, 429)])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, ErrorKind.HTTP_OTHER),
        (302, ErrorKind.REDIRECT),
        (304, ErrorKind.HTTP_OTHER),
        (305, ErrorKind.HTTP_OTHER),
        (418, ErrorKind.HTTP_OTHER),
        (498, ErrorKind.UNAVAILABLE),
        (529, ErrorKind.UNAVAILABLE),
    ],
)
def test_odd_statuses(status: int, kind: ErrorKind) -> None:
    """Only what tells a client to go elsewhere is a redirect."""
    reply = said(b"", status=status)
    assert (reply.error_kind, reply.outcome) == (kind, Outcome.REJECTED)
