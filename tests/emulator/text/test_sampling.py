"""The distribution of the next token: softmax cut to the nucleus."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.emulator.text.sampling import NEVER, distribution

LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=30)


@given(LOGITS, st.floats(0.01, 2), st.floats(0.01, 1))
def test_a_distribution_is_softmax_cut_to_the_nucleus(
    logits: list[float], temperature: float, top_p: float
) -> None:
    """Probabilities sum to 1, keep softmax's ratios, and stop at the smallest sufficient head."""
    dist = distribution(logits, temperature, top_p)
    highest = max(logits)
    weights = [math.exp((logits[i] - highest) / temperature) for i in dist.order]
    softmax = [weight / sum(weights) for weight in weights]
    kept = len(dist.cumulative)
    assert sum(softmax[: kept - 1]) < top_p
    assert sum(softmax[:kept]) >= top_p - 1e-9 or kept == len(logits)
    expected = [p / sum(softmax[:kept]) for p in softmax[:kept]]
    found = [math.exp(p) if p > NEVER else 0.0 for p in dist.logprobs[:kept]]
    assert found == pytest.approx(expected, abs=1e-9)
    assert all(p == NEVER for p in dist.logprobs[kept:])
    assert dist.cumulative[-1] == 1.0


@given(LOGITS)
def test_temperature_zero_is_the_most_likely(logits: list[float]) -> None:
    """At temperature 0 the first candidate is a highest logit and nothing else can be drawn."""
    dist = distribution(logits, 0, 1)
    assert logits[dist.order[0]] == max(logits)
    assert len(dist.cumulative) == 1
