"""The log-probability of a token, listed or not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.over_time.first_tokens import LOWEST, FirstToken, TokenProbability

SHARES = st.lists(st.floats(0.001, 1.0), min_size=3, max_size=8)


@given(SHARES, st.integers(1, 7))
def test_a_token_that_is_not_listed_has_the_most_it_can_have(
    shares: list[float], listed: int
) -> None:
    """Never less than its true probability, and never more than the least likely one listed."""
    total = math.fsum(shares)
    tokens = sorted(
        (TokenProbability(f"t{i}", math.log(share / total)) for i, share in enumerate(shares)),
        key=lambda each: -each.logprob,
    )
    listed = min(listed, len(tokens) - 1)
    top = tokens[:listed]
    first = FirstToken(top[0].token, top[0].logprob, top)
    for each in top:
        assert first.logprob_of(each.token) == each.logprob
    for each in tokens[listed:]:
        bound = first.logprob_of(each.token)
        assert each.logprob - 1e-9 <= bound <= top[-1].logprob


def test_the_lowest_value_counts_for_never() -> None:
    first = FirstToken("a", 0.0, [TokenProbability("a", 0.0), TokenProbability("b", -9999.0)])
    assert first.logprob_of("b") == LOWEST
    assert first.logprob_of("c") == LOWEST


def test_without_a_list_the_sampled_token_leaves_the_rest() -> None:
    assert FirstToken("a", math.log(0.75)).logprob_of("b") == pytest.approx(math.log(0.25))
