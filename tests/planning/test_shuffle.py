"""The shuffle: a bijection, decided by its seed, with no pattern a setting could ride on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evalharness.planning.shuffle import FeistelPermutation


@given(n=st.integers(0, 5_000), seed=st.integers(-(2**40), 2**40))
def test_every_position_is_visited_once(n: int, seed: int) -> None:
    """Whatever the length and the seed, nothing is left out and nothing comes twice."""
    assert sorted(FeistelPermutation(n, seed).take(0, n).tolist()) == list(range(n))


@given(n=st.integers(1, 1_000), block=st.integers(1, 300))
def test_blocks_join_to_the_whole(n: int, block: int) -> None:
    """Taken in blocks of any size the order is the same."""
    whole = FeistelPermutation(n, 7).take(0, n).tolist()
    again = FeistelPermutation(n, 7)
    parts = [again.take(i, i + block).tolist() for i in range(0, n, block)]
    assert [x for part in parts for x in part] == whole


def test_seeds_give_different_orders() -> None:
    """Another seed is another order; the same seed is the same order."""
    first, again, other = (FeistelPermutation(1_000, seed).take(0, 1_000) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_positions_are_uncorrelated_with_values() -> None:
    """A drift over time does not line up with prompts or settings."""
    values = FeistelPermutation(100_000, 0).take(0, 100_000)
    assert abs(np.corrcoef(np.arange(100_000), values)[0, 1]) < 0.02
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02
    # Each of six settings (value mod 6) gets its share of every tenth of the run.
    shares = [np.bincount(block % 6, minlength=6) / 10_000 for block in np.split(values, 10)]
    assert np.abs(np.array(shares) - 1 / 6).max() < 0.02
