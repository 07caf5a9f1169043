"""Tests of paired data and corrections for many tests: textbook values and cross-checks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis import stats


def _simulated(prompts: int, repeats: int, simulations: int) -> tuple[np.ndarray, np.ndarray]:
    """Pass rates of two settings without a mean difference, but with prompt-level effects."""
    rng = np.random.default_rng(repeats)
    base = rng.beta(0.8, 0.6, (prompts, simulations))
    effect = rng.normal(0.0, 0.1, (2, prompts, simulations))
    rates = np.clip(base + effect, 0.0, 1.0)
    counts = rng.binomial(repeats, rates)
    return counts[0] / repeats, counts[1] / repeats


def test_mcnemar_false_positives() -> None:
    """With no difference at most 5 % of McNemar mid-p tests at K = 1 are significant (± 3 MC)."""
    a, b = _simulated(100, 1, 4000)
    p = [
        stats.mcnemar_mid_p(int(up), int(down))
        for up, down in zip((a > b).sum(axis=0), (a < b).sum(axis=0), strict=True)
    ]
    assert float(np.mean(np.array(p) <= 0.05)) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)


def test_power_is_as_planned() -> None:
    """At the minimum detectable difference about 80 % of the tests find it."""
    components = stats.VarianceComponents(omega2=0.02, within_a=0.0, within_b=0.0)
    size = stats.minimum_detectable(components, 200, 1)
    d = np.random.default_rng(1).normal(size, math.sqrt(0.02), (200, 2000))
    rate = float(np.mean(stats.sign_flip(d, draws=999) <= 0.05))
    assert rate == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 2000) + 0.01)


@pytest.mark.parametrize(
    ("b", "c", "p"), [(6, 1, 0.0703), (7, 1, 0.0391), (5, 5, 1.0), (0, 0, 1.0)]
)
def test_mcnemar_mid_p(b: int, c: int, p: float) -> None:
    """Known values; (7, 1) is the first example of Fagerland et al. (2013)."""
    assert stats.mcnemar_mid_p(b, c) == pytest.approx(p, abs=5e-5)
    assert stats.mcnemar_mid_p(c, b) == stats.mcnemar_mid_p(b, c)


def test_cochran_q_matches_statsmodels() -> None:
    """Q and p are statsmodels'; constant outcomes are undefined; gaps drop the prompt."""
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="cross-check only")
    passed = (np.random.default_rng(0).random((40, 4)) < [0.4, 0.5, 0.6, 0.8]).astype(float)
    theirs = tables.cochrans_q(passed)
    found = stats.cochran_q(np.vstack([passed, [1.0, np.nan, 0.0, 1.0]]))
    assert found == (pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue), 40)
    assert stats.cochran_q(np.ones((5, 3))) is None


def test_cochran_q_of_two_settings_is_mcnemars_chi_square() -> None:
    """For two settings Q is (b - c)^2 / (b + c)."""
    passed = np.array([[1, 0]] * 9 + [[0, 1]] * 2 + [[1, 1]] * 4, dtype=float)
    found = stats.cochran_q(passed)
    assert found is not None
    assert found[0] == pytest.approx((9 - 2) ** 2 / (9 + 2))


def test_page_trend_matches_scipy() -> None:
    """Two-sided p is twice scipy's one-sided asymptotic p, ties included; flat data undefined."""
    values = np.random.default_rng(5).integers(0, 6, (25, 4)) + np.arange(4) * 0.5
    theirs = scipy.stats.page_trend_test(values, method="asymptotic").pvalue
    found = stats.page_trend(values)
    assert found is not None
    assert found[1] == pytest.approx(2 * min(theirs, 1 - theirs))
    assert found[0] > 0
    assert stats.page_trend(np.ones((5, 3))) is None
    assert stats.page_trend(values[:, :2]) is None


def test_tost_matches_statsmodels() -> None:
    """The equivalence p is statsmodels' ttost_paired."""
    weights = pytest.importorskip("statsmodels.stats.weightstats", reason="cross-check only")
    rng = np.random.default_rng(6)
    a, b = rng.random(50), rng.random(50)
    theirs = weights.ttost_paired(a, b, -0.15, 0.15)[0]
    assert stats.tost(a - b, 0.15) == pytest.approx(theirs)
    assert stats.tost(np.zeros(50), 0.15) is None


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    """Worked by hand; NaN is dropped from the family and counted."""
    p = [0.01, 0.04, np.nan, 0.03, 0.005]
    adjusted, dropped = stats.holm(p)
    assert dropped == 1
    assert adjusted[[0, 1, 3, 4]].tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(adjusted[2])
    adjusted, dropped = stats.benjamini_hochberg(p)
    assert dropped == 1
    assert adjusted[[0, 1, 3, 4]].tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections_match_the_libraries(p: list[float]) -> None:
    """BH is scipy's; both corrections only raise p, and Holm raises it more."""
    holm, bh = stats.holm(p)[0], stats.benjamini_hochberg(p)[0]
    assert bh.tolist() == pytest.approx(scipy.stats.false_discovery_control(p).tolist())
    assert (bh >= np.array(p) - 1e-12).all()
    assert (holm >= bh - 1e-12).all()


def test_holm_matches_statsmodels() -> None:
    """Holm's adjusted p are statsmodels'."""
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="cross-check only")
    p = np.random.default_rng(7).random(15) ** 3
    assert stats.holm(p)[0].tolist() == pytest.approx(
        multitest.multipletests(p, method="holm")[1].tolist()
    )
