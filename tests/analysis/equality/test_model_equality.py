"""The model equality test against pairs and permutations that are counted one by one."""

from __future__ import annotations

import json
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.equality.kernel import (
    PromptKernel,
    Unit,
    hamming_kernel,
    pad_outputs,
)
from evalharness.analysis.equality.model_equality import ModelEquality, model_equality
from evalharness.analysis.equality.permutation_test import equality_test
from evalharness.analysis.equality.power import (
    UnrelatedOutputs,
    dealt_variance,
    kernel_figures,
    prompts_needed,
)
from tests.analysis.record_frames import cell, frame_of

LENGTH = 8
texts = st.text("ab😀", max_size=LENGTH)
sides = st.tuples(st.lists(texts, min_size=2, max_size=3), st.lists(texts, min_size=2, max_size=3))


def agree(one: str, other: str) -> float:
    """Share of equal positions after padding."""
    padded = [text.ljust(LENGTH, "#") for text in (one, other)]
    return sum(x == y for x, y in zip(*padded, strict=True)) / LENGTH


def mmd2(a: list[str], b: list[str]) -> float:
    within = [
        2 * sum(agree(*pair) for pair in combinations(side, 2)) / (len(side) * (len(side) - 1))
        for side in (a, b)
    ]
    across = [agree(*pair) for pair in product(a, b)]
    return sum(within) - 2 * sum(across) / len(across)


def kernel_of(a: list[str], b: list[str], length: int = LENGTH) -> PromptKernel:
    return PromptKernel(hamming_kernel(pad_outputs([*a, *b], length)), len(a))


@given(st.lists(sides, min_size=1, max_size=2))
@settings(max_examples=60, deadline=None)
def test_statistic_and_exact_p_are_those_of_all_ways_to_deal(prompts: list[Any]) -> None:
    """Counted by brute force: every choice of outputs for the first side, in every prompt."""
    ways: list[list[float]] = []
    for a, b in prompts:
        both = [*a, *b]
        chosen = combinations(range(len(both)), len(a))
        ways.append(
            [
                mmd2([both[i] for i in c], [both[i] for i in range(len(both)) if i not in c])
                for c in chosen
            ]
        )
    observed = [mmd2(a, b) for a, b in prompts]
    sums = [sum(each) for each in product(*ways)]
    test = equality_test([kernel_of(a, b) for a, b in prompts])
    assert test.mmd2 == pytest.approx(observed)
    assert test.exact
    expected = sum(each >= sum(observed) - 1e-9 for each in sums) / len(sums)
    assert test.p == pytest.approx(expected)
    assert test.p >= test.smallest_p - 1e-12


def random_sides(seed: int, chances: tuple[list[float], list[float]]) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [
        (
            ["".join(rng.choice([*"abc"], LENGTH, p=chances[0])) for _ in range(6)],
            ["".join(rng.choice([*"abc"], LENGTH, p=chances[1])) for _ in range(6)],
        )
        for _ in range(8)
    ]


def test_random_ways_are_seeded_and_padding_has_no_influence() -> None:
    prompts = random_sides(1, ([0.6, 0.3, 0.1], [0.4, 0.4, 0.2]))
    first = equality_test([kernel_of(a, b) for a, b in prompts])
    assert not first.exact
    again = equality_test([kernel_of(a, b) for a, b in prompts])
    padded = equality_test([kernel_of(a, b, 10 * LENGTH) for a, b in prompts])
    assert first.p == again.p == padded.p
    assert padded.mmd2 * 10 == pytest.approx(first.mmd2)


def test_equal_sides_are_rarely_called_different_and_others_often() -> None:
    same, other = [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]
    p = [
        [
            equality_test([kernel_of(*s) for s in random_sides(seed, (same, q))], draws=999).p
            for seed in range(150)
        ]
        for q in (same, other)
    ]
    below = [sum(each < 0.05 for each in row) for row in p]
    assert below[0] <= 15  # 7.5 expected
    assert below[1] >= 135


def test_the_variance_of_dealing_is_that_of_the_kernel() -> None:
    """What a plan rests on, against permutations."""
    prompts = random_sides(2, ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2])) * 5
    kernels = [kernel_of(a, b) for a, b in prompts]
    figures = kernel_figures([each.kernel for each in kernels], UnrelatedOutputs(0.1, 0.0))
    assert figures is not None
    expected = np.sqrt(dealt_variance(figures, 0.0, 6, 6) / len(prompts))
    assert equality_test(kernels).spread == pytest.approx(expected, rel=0.1)
    needed = [prompts_needed(figures, share, 5) for share in (1.0, 0.5, 0.3)]
    assert needed == sorted(each for each in needed if each is not None)


def equality(
    a: list[Any], b: list[Any], unit: Unit = "character", **fields: list[str]
) -> ModelEquality:
    rows = [
        {**row, **({name: values[len(row["text"])] for name, values in fields.items()})}
        for setting, prompts in (("a", a), ("b", b))
        for number, outputs in enumerate(prompts)
        for row in cell(outputs, f"p{number:02}", setting_id=setting)
    ]
    joined = JoinedRuns.of({"": frame_of(rows)})
    return model_equality(joined, [(joined.columns[0], joined.columns[1])], unit=unit)[0]


def test_what_cannot_be_measured_says_why() -> None:
    many = 12
    single = equality(["x"] * many, ["y"] * many)
    assert single.verdict == "not measurable"
    assert "repeats=2" in (single.reason or "")
    assert single.p is None
    empty = equality([["", ""]] * many, ["xy"] * many)
    assert empty.reason == "every output of a is empty"
    few = equality(["xx"], ["yy"])
    assert few.verdict == "not measurable"
    assert "no p is below 0.33" in (few.reason or "")
    assert few.detectable_mmd2 is None
    assert equality(["xx"], ["yy"], "token").reason is not None


def test_verdicts() -> None:
    many = 12
    identical = equality(["xx"] * many, ["xx"] * many)
    assert (identical.verdict, identical.p, identical.mmd2) == ("identical", 1, 0)
    assert identical.differing_below == pytest.approx(1 - 0.05 ** (1 / many))
    apart = equality(["xx"] * many, ["yy"] * many)
    assert (apart.verdict, apart.own_a, apart.across, apart.mmd2) == ("differs", 1, 0, 2)
    noisy = equality(["xyxz", "yyxx", "zxyx"] * 5, ["zyxx", "xzxy", "xxyz"] * 5)
    assert noisy.verdict == "not detected"
    assert noisy.detectable_mmd2 is not None
    assert noisy.detectable_mmd2 > 0


def test_tokens_are_those_of_log_probabilities() -> None:
    """One token of many characters is one position."""
    a = [["x", "yy", "x", "yy"]] * 6
    tokens = ["", *(json.dumps({"content": [{"token": t}, {"token": "!"}]}) for t in ("x", "long"))]
    row = equality(a, a, "token", logprobs_json=tokens)
    assert (row.unit, row.length) == ("token", 2)
    assert row.own_a == pytest.approx(0.5 + 0.5 / 3)
