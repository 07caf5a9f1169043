"""The permutation test of labels shuffled within cells."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evalharness.analysis import stats

Rng = np.random.Generator


def _pairs(code: list[int], label: list[int]) -> int:
    both = zip(code, label, strict=True)
    return sum(a == b for a, b in itertools.combinations(list(both), 2))


@pytest.mark.parametrize(
    ("code", "label"),
    [([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]), ([0, 0, 1, 1, 2, 0], [0, 0, 0, 1, 1, 1])],
)
def test_labels_match_enumeration(code: list[int], label: list[int]) -> None:
    """p is the share of all orders of the labels with as many equal pairs of one label."""
    observed = _pairs(code, label)
    orders = list(itertools.permutations(label))
    exact = sum(_pairs(code, list(order)) >= observed for order in orders) / len(orders)
    p = stats.label_permutation(
        np.zeros(6, np.int64), np.array(code), np.array(label), np.ones((1, 2))
    )
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9999) + 1e-4)


def test_weights_and_cells_are_kept_apart() -> None:
    """A label worth nothing counts for nothing; labels never leave their cell."""
    cell = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    code = np.array([0, 0, 1, 2, 0, 0, 1, 1])
    label = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    assert stats.label_permutation(cell, code, label, np.array([[0.0, 1.0], [0.0, 0.0]])) == 1.0
    first = stats.label_permutation(cell, code, label, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert first == pytest.approx(1 / 6, abs=0.02)  # 1 of the 6 ways to choose two of four
    assert stats.label_permutation(cell[:0], code[:0], label[:0], np.ones((1, 1))) is None


@pytest.mark.parametrize(("prompts", "repeats"), [(8, 5), (20, 2)])
def test_an_ignored_seed_is_rarely_called_honoured(prompts: int, repeats: int) -> None:
    """Seeds that do nothing: p < .05 in at most 5 % of runs (and three Monte-Carlo errors).

    Sign flips of the prompts' differences gave 8.7 % for eight prompts and five repeats.
    """
    runs, rng, found = 300, np.random.default_rng(prompts), 0
    cell = np.repeat(np.arange(prompts), 2 * repeats)
    label = np.tile(np.repeat([0, 1], repeats), prompts)
    for _ in range(runs):
        chances = rng.dirichlet([0.5] * 5, prompts)
        code = np.concatenate([rng.choice(5, 2 * repeats, p=chance) for chance in chances])
        p = stats.label_permutation(cell, code, label, np.ones((prompts, 2)), draws=499)
        found += p is not None and p < 0.05
    assert found <= runs * 0.05 + 3 * math.sqrt(runs * 0.05 * 0.95)
    assert found > 0
