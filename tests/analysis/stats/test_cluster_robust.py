"""The cluster-robust mean: matrices written out, Student's t for equal units."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats

_sizes = st.lists(st.integers(1, 9), min_size=2, max_size=9)


def _by_matrices(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Error and degrees of freedom as Bell and McCaffrey define them, with all matrices."""
    n, groups = values.size, np.unique(labels)
    residual_maker = np.eye(n) - np.ones((n, n)) / n
    residuals = residual_maker @ values
    columns, variance = [], 0.0
    for group in groups:
        own = labels == group
        block = residual_maker[np.ix_(own, own)]
        scales, directions = np.linalg.eigh(block)
        inverse_root = directions @ np.diag(scales**-0.5) @ directions.T
        adjusted = inverse_root @ np.ones(own.sum()) / n
        variance += float(adjusted @ residuals[own]) ** 2
        columns.append(residual_maker[:, own] @ adjusted)
    form = np.array(columns) @ np.array(columns).T
    df = float(np.trace(form)) ** 2 / float(np.sum(form * form))
    return math.sqrt(variance), df


@given(_sizes, st.integers(0, 1000))
def test_error_and_degrees_of_freedom_match_the_matrices(sizes: list[int], seed: int) -> None:
    """Sums over clusters give what CR2 and its Satterthwaite approximation give in full."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    values = np.random.default_rng(seed).random(labels.size)
    found = stats.estimate_mean(*stats.unit_sums(values, labels))
    assert found is not None
    error, df = _by_matrices(values, labels)
    assert found.mean == pytest.approx(values.mean())
    assert found.error == pytest.approx(error)
    assert found.df == pytest.approx(max(1.0, df))


def test_prompts_alone_have_students_error() -> None:
    """Without clusters: the standard error of the mean, and n - 1 degrees of freedom."""
    values = np.random.default_rng(1).random(25)
    found = stats.standard_error(values)
    assert found is not None
    assert found.error == pytest.approx(values.std(ddof=1) / 5.0)
    assert found.df == pytest.approx(24.0)
    alone = stats.standard_error(values, np.arange(25))
    assert alone is not None
    assert alone.error == pytest.approx(found.error)


def test_one_large_cluster_leaves_few_degrees_of_freedom() -> None:
    """40 prompts in one cluster and 22 in eleven others tell about as much as two clusters."""
    sizes = np.array([40.0] + [2.0] * 11)
    found = stats.estimate_mean(np.random.default_rng(2).random(12) * sizes, sizes)
    assert found is not None
    assert found.df < 3.0
    assert stats.effective_units(sizes) == pytest.approx(62.0**2 / (1600.0 + 44.0))
    assert stats.effective_units(np.ones(7)) == 7.0


def test_nothing_to_estimate() -> None:
    """One unit, or no spread, has no error; labels may have gaps and be of any kind."""
    assert stats.estimate_mean(np.array([1.0]), np.array([1.0])) is None
    assert stats.standard_error([0.5, 0.5]) is None
    assert stats.standard_error([np.nan, 0.5]) is None
    sums, sizes = stats.unit_sums(np.array([1.0, 2.0, 4.0]), np.array(["b", "a", "b"]))
    assert sums.tolist() == [2.0, 5.0]
    assert sizes.tolist() == [1.0, 2.0]
