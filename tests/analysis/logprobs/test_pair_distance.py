"""Two outputs: where they compare, and how far apart they are there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.logprobs.pair_distance import divergence, pair_distance
from evalharness.analysis.logprobs.token_output import TokenOutput


def output(tokens: str, logprobs: list[float], top: list[dict[str, float]] | None = None):
    return TokenOutput([*tokens], np.array(logprobs), top or [{} for _ in tokens])


def test_only_equal_prefixes_compare() -> None:
    pair = pair_distance(output("abcd", [-1, -2, -3, -4]), output("abxd", [-1, -2.5, -9, -8]))
    assert pair.prefix == 2
    assert pair.differences.tolist() == [0.0, 0.5]
    assert (pair.kl, pair.top_prefix) == (None, None)


def test_where_they_part_the_other_sides_candidates_count() -> None:
    """Both were asked for the same next token: each chosen one that the other lists compares."""
    left = output("ab", [-1.0, -0.5], [{"a": -1.0}, {"b": -0.5, "x": -2.0}])
    right = output("ax", [-1.0, -0.75], [{"a": -1.0}, {"x": -0.75, "b": -1.25}])
    pair = pair_distance(left, right)
    assert sorted(pair.differences.tolist()) == [0.0, 0.75, 1.25]
    assert (pair.top_prefix, pair.kl_places) == (1, 2)


def test_unknown_values_are_left_out() -> None:
    pair = pair_distance(output("ab", [math.nan, -1.0]), output("ab", [-1.0, -1.0]))
    assert pair.differences.tolist() == [0.0]


def _listed(weights: list[float]) -> dict[str, float]:
    total = math.fsum(weights)
    return {str(i): math.log(w / total) for i, w in enumerate(weights)}


_weights = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=8)


@given(_weights)
def test_no_divergence_from_itself(weights: list[float]) -> None:
    assert divergence(_listed(weights), _listed(weights)) == pytest.approx(0.0, abs=1e-9)


@given(
    st.integers(2, 8).flatmap(
        lambda n: st.tuples(*[st.lists(st.floats(0.01, 1.0), min_size=n, max_size=n)] * 2)
    ),
    st.integers(1, 8),
)
def test_fewer_candidates_never_raise_it(both: tuple[list[float], list[float]], top: int) -> None:
    """What is given of the top is a lower bound of the whole."""
    first, second = (_listed(weights) for weights in both)
    whole = math.fsum(math.exp(p) * (p - second[token]) for token, p in first.items())
    cut = [dict(sorted(each.items(), key=lambda item: -item[1])[:top]) for each in (first, second)]
    assert divergence(first, second) == pytest.approx(whole, abs=1e-6)
    assert divergence(cut[0], cut[1]) <= whole + 1e-6
