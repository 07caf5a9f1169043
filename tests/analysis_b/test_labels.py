"""The test of seeds: labels shuffled within prompts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.parameters.effects import effects
from tests.analysis_b.frames import frame, said

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


def test_few_prompts_are_enough_for_an_honoured_seed() -> None:
    """Four prompts with three repeats show a seed that holds; signs of four could not (p ≥ .125)."""
    rows = [
        row
        for seed in (1, 2)
        for row in said(f"s{seed}", {f"q{i}": [f"out {seed} {i}"] * 3 for i in range(4)})
    ]
    run = frame({f"s{seed}": {"temperature": 1, "seed": seed} for seed in (1, 2)}, rows)
    (effect,) = [e for e in effects(run) if e["parameter"] == "seed"]
    assert effect["verdict"] == "honoured"
    assert effect["evidence"]["p"] < 0.01
    assert effect["evidence"]["test"].startswith("permutation of seeds")


def test_many_outputs_of_many_prompts_are_tested_by_signs() -> None:
    """Past 10,000 outputs of 100 prompts the differences of the prompts are tested instead."""
    rng = np.random.default_rng(5)
    rows = [
        row
        for seed in (1, 2)
        for row in said(
            f"s{seed}",
            {f"q{i}": [f"o{x}" for x in rng.integers(0, 9, 51)] for i in range(100)},
        )
    ]
    run = frame({f"s{seed}": {"temperature": 1, "seed": seed} for seed in (1, 2)}, rows)
    (effect,) = [e for e in effects(run) if e["parameter"] == "seed"]
    assert effect["evidence"]["test"] == "sign-flip permutation"
    assert effect["verdict"] == "ignored"


def test_requests_without_a_seed_are_pairs_of_neither_kind() -> None:
    """One seed against none: equal outputs among the seedless do not count for the seed."""
    texts = {f"q{i}": ["same"] * 3 for i in range(10)}
    free = {f"q{i}": ["x", "y", "z"] for i in range(10)}
    settings = {"none": {"temperature": 1}, "one": {"temperature": 1, "seed": 1}}
    for none, one, verdict in ((texts, free, "ignored"), (free, texts, "honoured")):
        run = frame(settings, [*said("none", none), *said("one", one)])
        (effect,) = [e for e in effects(run) if e["parameter"] == "seed"]
        assert effect["verdict"] == verdict, effect


def test_both_ends_of_temperature_are_cut_to_equal_numbers_of_outputs() -> None:
    """A prompt that lost repeats at one end still counts, with as many outputs of the other."""
    cold = {f"q{i}": ["a"] * 4 for i in range(8)}
    hot = {f"q{i}": ["a", "b", "c"] for i in range(8)}
    settings = {"cold": {"temperature": 0}, "hot": {"temperature": 1}}
    run = frame(settings, [*said("cold", cold), *said("hot", hot)])
    (effect,) = [e for e in effects(run) if e["parameter"] == "temperature"]
    assert effect["evidence"]["n"] == 8
    assert effect["evidence"]["effective_outputs_high"] == pytest.approx(3.0)
    assert effect["verdict"] == "honoured"
