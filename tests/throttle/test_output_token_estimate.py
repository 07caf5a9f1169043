"""The estimate of output tokens that a request reserves."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.records import ErrorKind, Usage
from evalharness.throttle.output_token_estimate import TokenEstimator, tokens_used
from tests.throttle.replies import delivered, failed


def test_before_any_reply_the_maximum_is_reserved():
    """Nothing known: max_tokens for the output, half a token a character for the prompt."""
    estimate = TokenEstimator()
    assert estimate.output("t", 300) == 300
    assert estimate.output("t") == 512
    assert estimate.prompt("t", 1_000) >= 500


@settings(deadline=None)
@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=400), st.integers(1, 5_000))
def test_output_is_the_p90_of_recent_outputs(outputs, max_tokens):
    """The estimate is the 90th percentile of the last 128 outputs, never above max_tokens."""
    estimate = TokenEstimator()
    for tokens in outputs:
        estimate.observe("t", 0, Usage(completion_tokens=tokens))
    recent = sorted(outputs[-128:])
    p90 = recent[math.ceil(0.9 * len(recent)) - 1]
    assert estimate.output("t") == p90
    assert estimate.output("t", max_tokens) == min(p90, max_tokens)
    assert len(estimate._tasks["t"].ranked) == len(recent)


def test_prompts_are_calibrated_per_task():
    """Characters cost what they cost before in the same task, and the ratio follows a change."""
    estimate = TokenEstimator()
    for _ in range(10):
        estimate.observe("zh", 100, Usage(prompt_tokens=80))
        estimate.observe("en", 100, Usage(prompt_tokens=25))
    assert estimate.prompt("zh", 1_000) == 800
    assert estimate.prompt("en", 1_000) == 250
    for _ in range(1_000):
        estimate.observe("en", 100, Usage(prompt_tokens=50))
    assert 490 <= estimate.prompt("en", 1_000) <= 500


def test_unknown_usage_teaches_nothing():
    """A reply without usage leaves no trace."""
    estimate = TokenEstimator()
    estimate.observe("t", 100, Usage())
    assert estimate.output("t", 7) == 7
    assert not estimate._tasks


def test_total_is_prompt_and_output():
    """What is reserved is the sum of both."""
    estimate = TokenEstimator()
    estimate.observe("t", 100, Usage(prompt_tokens=30, completion_tokens=12))
    assert estimate.total("t", 200, 1_000) == 72


def test_tokens_used_by_a_reply():
    """Total where stated, else the sum of both parts, else unknown; never sent used none."""
    assert tokens_used(delivered(tokens=9)) == 9
    assert tokens_used(delivered(tokens=None)) is None
    assert tokens_used(failed(ErrorKind.CONNECT)) == 0
    assert tokens_used(failed(ErrorKind.RATE_LIMITED)) is None
