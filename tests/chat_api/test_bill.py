"""What the provider says it billed is read in its own form, and nothing else is taken for it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from evalharness.chat_api.response import interpret
from evalharness.config.models import Profile
from evalharness.records import Reply
from tests.chat_api.test_response import exchange

TOKENS = {"prompt_tokens": 70, "completion_tokens": 11, "total_tokens": 81}


def _replies(
    top: dict[str, Any], headers: dict[str, str] | None = None, profile: Profile | None = None
) -> tuple[Reply, Reply]:
    """The reply to a completion, and to the same one streamed."""
    choice = {"index": 0, "finish_reason": "stop"}
    message = {"choices": [choice | {"message": {"content": "Paris"}}]}
    events = [{"choices": [choice | {"delta": {"content": "Paris"}}]}, {"choices": []} | top]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    bodies = (json.dumps(message | top).encode(), stream.encode())
    whole, streamed = (
        interpret(exchange(body, headers=headers or {}), streamed=body is bodies[1],
                  profile=profile)
        for body in bodies
    )  # fmt: skip
    return whole, streamed


@pytest.mark.parametrize(
    ("usage", "billed"),
    [
        ({"cost": 0.00031}, "0.00031"),
        ({"cost": "0.00031"}, "0.00031"),
        ({"cost": 0}, "0"),
        ({"cost": {"input_tokens_cost": 0.0001, "request_cost": 0.005, "total_cost": 0.0051}},
         "0.0051"),
        ({"cost": {"amount": "0.002", "currency": "usd"}}, "0.002"),
        ({"cost": {"amount": "0.002", "currency": "CNY"}}, None),
        ({"cost": {"input_tokens_cost": 0.0001}}, None),
        ({"cost": {"total_cost": None}}, None),
        ({"cost": "free"}, None), ({"cost": True}, None), ({"cost": -1}, None), ({"cost": []}, None),
        # An own key: the fee and what the provider of the model bills.
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.21"),
        ({"cost": 0.01, "is_byok": True, "cost_details": {}}, None),
        ({"cost": 0.2, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}}, "0.2"),
        ({"cost_in_usd_ticks": 37_756_000}, "0.0037756"),
        ({"estimated_cost": 0.0000042}, "0.0000042"),
    ],
)  # fmt: skip
def test_bills_in_the_usage(usage: dict[str, Any], billed: str | None) -> None:
    """A number, a text, an object, ticks; what is no amount of dollars is unknown, and does no harm."""
    for reply in _replies({"usage": TOKENS | usage}):
        assert reply.billed_usd == (None if billed is None else Decimal(billed))
        assert (reply.text, reply.usage.total_tokens) == ("Paris", 81)


def test_a_cost_beside_a_usage_in_the_choice() -> None:
    """The bill is read where the usage stands."""
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice | {"usage": TOKENS | {"cost": 0.5}}]}).encode()
    assert interpret(exchange(body), streamed=False).billed_usd == Decimal("0.5")


def test_the_header_of_a_gateway() -> None:
    """LiteLLM says its cost before a stream begins, when it cannot know it: 0 is no bill there."""
    name = "x-litellm-response-cost"
    whole, streamed = _replies({"usage": TOKENS}, {name: "0.00042"})
    assert whole.billed_usd == streamed.billed_usd == Decimal("0.00042")
    whole, streamed = _replies({"usage": TOKENS}, {name: "0.0"})
    assert (whole.billed_usd, streamed.billed_usd) == (Decimal(0), None)
    for value in ("None", "", "n/a"):
        assert [reply.billed_usd for reply in _replies({}, {name: value})] == [None, None]
    # What the body says goes before the header.
    assert {r.billed_usd for r in _replies({"usage": {"cost": 2}}, {name: "1"})} == {Decimal(2)}


def test_a_profile_names_the_forms_of_its_provider() -> None:
    """Only these are read: a number of another meaning is not taken for dollars."""
    top = {"usage": TOKENS | {"cost": 7, "cost_in_usd_ticks": 10**10},
           "meta": {"usage": {"usd_spent": 3, "credits_used": 4}}}  # fmt: skip
    headers = {"x-litellm-response-cost": "5"}
    for form, usd in (
        ("aimlapi", 3), ("usage_cost", 7), ("usage_cost_ticks", 1), ("litellm_header", 5),
    ):  # fmt: skip
        for reply in _replies(top, headers, Profile(bill=(form,))):
            assert reply.billed_usd == Decimal(usd)
            assert (reply.billed_credits is None) == (form != "aimlapi")
    for reply in _replies(top, headers, Profile(bill=())):
        assert (reply.billed_usd, reply.billed_credits) == (None, None)
