"""The test of own against across: both of its forms agree, and nothing is found in nothing."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.analysis.across import shuffle_test
from evalharness.analysis.across.shuffle_test import own_against_across_p
from evalharness.analysis.data.encode import Ints


def outputs(seed: int, prompts: int, repeats: tuple[int, int]) -> tuple[Ints, Ints, Ints]:
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet([0.5] * 5, size=prompts)
    a, b = (rng.multinomial(n, chances) for n in repeats)
    given = a + b > 0
    return a[given], b[given], np.nonzero(given)[0]


@pytest.mark.parametrize("repeats", [(3, 3), (2, 5), (6, 4)])
def test_the_normal_form_gives_the_p_of_the_shuffles(
    repeats: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        counts = outputs(seed, 400, repeats)
        shuffled = own_against_across_p(*counts)
        with monkeypatch.context() as patch:
            patch.setattr(shuffle_test, "NORMAL_OUTPUTS", 0)
            patch.setattr(shuffle_test, "NORMAL_PROMPTS", 0)
            normal = own_against_across_p(*counts)
        assert normal == pytest.approx(shuffled, abs=0.03)


def test_other_chances_are_found_even_where_the_outputs_are_the_same() -> None:
    prompt = np.repeat(np.arange(30), 2)
    assert (own_against_across_p(np.tile([5, 1], 30), np.tile([1, 5], 30), prompt) or 1) < 0.001


def test_prompts_without_two_repeats_on_both_sides_are_not_tested() -> None:
    assert own_against_across_p(np.array([1, 0]), np.array([0, 3]), np.array([0, 0])) is None


def test_one_output_in_all_is_no_difference() -> None:
    assert own_against_across_p(np.array([3]), np.array([3]), np.array([0])) == 1
