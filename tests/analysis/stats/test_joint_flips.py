"""Joint tests: no line too many by chance, selection of the leader included, and power left."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalharness.analysis import stats
from evalharness.analysis.stats import unit_differences


def _columns(table: np.ndarray) -> list[stats.UnitDifferences]:
    flips = stats.SignFlips()
    return [flips.units_of(column) for column in table.T]


def _ranked(table: np.ndarray) -> stats.RankedSettings:
    """The lowest mean leads."""
    best = int(np.argmin(table.mean(axis=0)))
    others = [s for s in range(table.shape[1]) if s != best]
    return stats.RankedSettings(
        table - table.mean(axis=1, keepdims=True), _columns(table[:, others] - table[:, [best]])
    )


def test_a_single_comparison_keeps_its_own_p() -> None:
    """Of one column, alone or many times, and of two settings, the joint p is that of its flips."""
    column = np.random.default_rng(0).normal(0.3, 1.0, 12)
    alone = stats.sign_flip(column)[0]
    many = np.column_stack([column] * 5)
    assert stats.joint_tests(_columns(many)).columns == pytest.approx([alone] * 5)
    sides = np.column_stack([np.zeros(12), column])
    joint = stats.joint_tests([], [_ranked(sides)])
    assert joint.contrasts[0] == pytest.approx([alone])


def test_the_smallest_p_does_not_grow_with_the_comparisons() -> None:
    """One clear difference among forty that are noise stays far below .05 with twelve prompts."""
    table = np.random.default_rng(1).normal(0.0, 1.0, (12, 40))
    table[:, 7] = 1.0 + 0.01 * table[:, 7]
    p = stats.joint_tests(_columns(table)).columns
    assert p[7] < 0.01
    assert stats.holm(stats.sign_flip(table))[0][7] <= 0.05
    assert (np.delete(p, 7) > 0.2).all()


def test_nothing_differs() -> None:
    """Equal settings and empty families have p = 1."""
    assert stats.joint_tests([]).columns.tolist() == []
    zeros = np.zeros((8, 3))
    joint = stats.joint_tests(_columns(zeros), [_ranked(zeros)])
    assert joint.columns.tolist() == [1.0] * 3
    assert joint.contrasts[0].tolist() == [1.0] * 2


@pytest.mark.parametrize(("prompts", "settings"), [(12, 20), (30, 8)])
def test_no_line_in_nineteen_of_twenty_runs_without_a_difference(
    prompts: int, settings: int
) -> None:
    """Skewed latencies that do not differ, the fastest compared with all: at most 5 % (+ 3 errors)."""
    rng = np.random.default_rng(prompts)
    runs, false = 300, 0
    for _ in range(runs):
        level = rng.lognormal(0.0, 1.0, (prompts, 1))
        table = level * rng.lognormal(0.0, 0.5, (prompts, settings))
        joint = stats.joint_tests(
            _columns(table[:, 1:] - table[:, :1]), [_ranked(table)], draws=499
        )
        smallest = min(joint.columns.min(), *(p.min() for p in joint.contrasts))
        false += smallest < 0.05
    assert false / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_the_joint_normal_of_many_units_gives_what_patterns_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From 500 units on no signs are drawn: the p values are those of 9,999 patterns, but noise."""
    table = np.random.default_rng(3).normal(0.05, 1.0, (600, 6))
    normal = stats.joint_tests(_columns(table), [_ranked(table)])
    monkeypatch.setattr(unit_differences, "NORMAL_FROM", 10_000)
    drawn = stats.joint_tests(_columns(table), [_ranked(table)])
    assert normal.columns == pytest.approx(drawn.columns, abs=0.03)
    assert normal.contrasts[0] == pytest.approx(drawn.contrasts[0], abs=0.03)
