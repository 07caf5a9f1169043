"""A server that refuses a parameter is quoted, and what to type stands behind its words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalharness.chat_api.errors.refused_parameter import find_remedy, with_remedy
from evalharness.chat_api.protocols import get_protocol
from evalharness.records import Outcome, Reply, Status

SENT: dict[str, Any] = {
    "model": "m", "messages": [], "max_tokens": 5, "temperature": 0, "presence_penalty": 0.1,
    "logprobs": True, "n": 2, "stop": ["a"], "seed": 1, "stream": True, "user": "u",
    "stream_options": {"include_usage": True}, "enable_thinking": True,
}  # fmt: skip
INSTEAD = "use params.max_completion_tokens in its place, with params.max_tokens=null"


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            INSTEAD,
        ),
        ("max_tokens is deprecated in favor of max_completion_tokens", INSTEAD),
        (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the "
            "default (1) value is supported.",
            "leave it out: params.temperature=null",
        ),
        ("`temperature` is deprecated for this model.", "leave it out: params.temperature=null"),
        (
            "Model grok-4 does not support parameter presencePenalty.",
            "leave it out: params.presence_penalty=null",
        ),
        (
            'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
            "leave it out: params.seed=null",
        ),
        ("property 'logprobs' is unsupported", "leave it out: params.logprobs=null"),
        ("Unrecognized request argument supplied: stop", "leave it out: params.stop=null"),
        ("body.seed: Extra inputs are not permitted", "leave it out: params.seed=null"),
        ("HTTP 400: seed: Extra inputs are not permitted", "leave it out: params.seed=null"),
        (
            "Unknown parameter: 'enable_thinking'.",
            "leave it out: params.extra.enable_thinking=null",
        ),
        (
            "stream_options: Extra inputs are not permitted",
            "provider.profile.stream_usage=false sends none, and then no usage is streamed",
        ),
        # no refusal of a parameter that was sent
        ("max_tokens must be at most 4096", None),
        ("This model does not support images from the user", None),
        ("Unsupported parameter: 'top_k'", None),
        ("the model `m` is not supported", None),
        ("stop, this is not allowed", None),
    ],
)
def test_remedy_of_a_refusal(message: str, advice: str | None) -> None:
    """The parameter that was sent and is refused, and the one that the server names instead."""
    assert find_remedy(message, SENT) == advice


def test_the_remedy_stands_behind_the_words_of_the_server() -> None:
    """Only of a 400 or 422: other refusals are about something else."""
    refused = Reply(
        outcome=Outcome.REJECTED, status=Status.ERROR, http_status=400,
        error_message="property 'n' is unsupported",
    )  # fmt: skip
    body = json.dumps(SENT).encode()
    said = with_remedy(refused, body).error_message
    assert said == "property 'n' is unsupported → leave it out: params.n=null"
    limited = Reply(
        outcome=Outcome.REJECTED, status=Status.ERROR, http_status=429,
        error_message=refused.error_message,
    )  # fmt: skip
    assert with_remedy(limited, body) is limited


def test_a_field_of_another_protocol_is_called_by_its_parameter() -> None:
    """Also one inside an object, which the server names by its path."""
    names = get_protocol("responses").parameter_names
    sent = {"model": "m", "max_output_tokens": 5, "reasoning": {"effort": "low"}, "input": []}
    refused = "Unsupported parameter: 'reasoning.effort' is not supported with this model."
    assert find_remedy(refused, sent, names) == "leave it out: params.reasoning_effort=null"
    refused = "Unsupported parameter: 'max_output_tokens' is not supported with this model."
    assert find_remedy(refused, sent, names) == "leave it out: params.max_tokens=null"
    assert find_remedy("'text.verbosity' is not supported", sent, names) is None
    refused, lacks = "Unknown parameter: 'seed'.", get_protocol("responses").lacks
    remedy = find_remedy(refused, sent | {"seed": 1}, names, lacks)
    assert remedy == "leave it out: params.extra.seed=null"
