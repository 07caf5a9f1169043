"""Intervals: textbook values, cross-checks against scipy and statsmodels, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis import stats


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_newcombe(successes: int, n: int, low: float, high: float) -> None:
    """Wilson's interval gives the published values of Newcombe (Stat. Med. 17, 1998, table I)."""
    found = stats.wilson(successes, n)
    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_null_without_data_and_touches_the_ends() -> None:
    """No trials give null; all successes end exactly at 1."""
    assert stats.wilson(0, 0) is None
    assert stats.wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert stats.wilson(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportions_match_scipy(case: tuple[int, int]) -> None:
    """Wilson's interval agrees with scipy's for any count."""
    theirs = scipy.stats.binomtest(*case).proportion_ci(method="wilson")
    assert stats.wilson(*case) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_below_twenty_prompts_the_interval_is_students_t() -> None:
    """19 prompts get scipy's t interval; missing values are dropped first."""
    values = np.random.default_rng(3).random(19)
    expected = scipy.stats.t.interval(0.95, 18, loc=values.mean(), scale=scipy.stats.sem(values))
    with_gaps = np.concatenate([values, [np.nan, np.nan]])
    assert stats.mean_ci(with_gaps) == pytest.approx(expected)


def test_constant_data() -> None:
    """All 0 or all 1 get Wilson's interval, other constants and single values null."""
    assert stats.mean_ci(np.zeros(50)) == stats.wilson(0, 50)
    assert stats.mean_ci(np.ones(7)) == stats.wilson(7, 7)
    assert stats.mean_ci(np.full(50, 0.5)) is None
    assert stats.mean_ci([0.3]) is None
    assert stats.mean_ci([]) is None
    assert stats.mean_ci([np.nan]) is None
    assert stats.mean_ci(np.ones(50), scale="real") is None


def test_differences_that_are_all_zero_are_bounded_on_both_sides() -> None:
    """Identical settings: the interval of the difference is Wilson's bound either way."""
    bound = stats.wilson(0, 40)
    assert bound is not None
    assert stats.mean_ci(np.zeros(40), scale="difference") == (-bound[1], bound[1])


@pytest.mark.parametrize("n", [25, 80, 700, 2000])
@pytest.mark.parametrize("kind", ["skewed", "few"])
def test_bca_matches_scipy(n: int, kind: str) -> None:
    """Every way of computing BCa gives scipy's interval, up to the noise of resampling."""
    rng = np.random.default_rng(n)
    values = rng.exponential(size=n) if kind == "skewed" else rng.binomial(5, 0.7, n) / 5
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="BCa", rng=1, n_resamples=9999, batch=500
    ).confidence_interval
    ours = stats.mean_ci(values, scale="real")
    # Quantiles of 9,999 draws differ by a few hundredths of a standard error, or by one step of
    # the lattice that a few distinct values make.
    step = 0.2 / n if kind == "few" else 0.0
    slack = 0.1 * values.std() / math.sqrt(n) + step
    assert ours == pytest.approx((theirs.low, theirs.high), abs=slack)


def test_clusters_of_one_are_independent_prompts() -> None:
    """Giving each prompt its own cluster changes nothing but the noise of resampling."""
    values = np.random.default_rng(0).random(600)
    plain = stats.mean_ci(values)
    assert plain is not None
    assert stats.mean_ci(values, clusters=np.arange(600)) == pytest.approx(plain)


def test_cluster_interval_matches_statsmodels() -> None:
    """With few clusters the error is statsmodels' cluster-robust one, with t(G-1)."""
    api = pytest.importorskip("statsmodels.regression.linear_model", reason="cross-check only")
    rng = np.random.default_rng(8)
    labels = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    values = rng.random(labels.size) + rng.normal(0, 0.3, 12)[labels]
    fit = api.OLS(values, np.ones(labels.size)).fit(
        cov_type="cluster", cov_kwds={"groups": labels}, use_t=True
    )
    ends = fit.conf_int()[0]
    found = stats.mean_ci(values, clusters=labels, scale="real")
    assert found == pytest.approx(tuple(ends))


def test_many_clusters_follow_the_cluster_error() -> None:
    """Above 500 clusters the interval stays about 1.96 cluster-robust errors wide."""
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(600), rng.integers(1, 6, 600))
    values = rng.random(labels.size) + rng.normal(0, 0.5, 600)[labels]
    found, spread = stats.mean_ci(values, clusters=labels), stats.standard_error(values, labels)
    assert found is not None
    assert spread is not None
    assert (found[1] - found[0]) / 2 == pytest.approx(1.96 * spread[1], rel=0.02)


@pytest.mark.parametrize("n", [30, 600])
def test_cluster_resampling_is_wider_than_ignoring_clusters(n: int) -> None:
    """Prompts that agree within clusters carry less information, whichever way it is computed."""
    labels = np.repeat(np.arange(n), 4)
    values = np.random.default_rng(n).random(n)[labels]
    clustered, plain = stats.mean_ci(values, clusters=labels), stats.mean_ci(values)
    assert clustered is not None
    assert plain is not None
    assert (clustered[1] - clustered[0]) / (plain[1] - plain[0]) == pytest.approx(2.0, rel=0.1)


def test_percentile_needs_enough_values() -> None:
    """A p95 has an upper end from 72 values two-sided, from 59 one-sided (level .90 two-sided)."""
    few, enough = (stats.percentile_ci(np.arange(n), 95) for n in (71, 72))
    assert few is not None
    assert enough is not None
    assert few[1] is None
    assert enough[1] == 71
    one_sided = [stats.percentile_ci(np.arange(n), 95, level=0.90) for n in (58, 59)]
    assert one_sided[0] is not None
    assert one_sided[1] is not None
    assert one_sided[0][1] is None
    assert one_sided[1][1] == 58
    assert stats.percentile_ci([], 50) is None


def test_median_interval_matches_the_binomial_table() -> None:
    """The median of 10 values lies between the 2nd and 9th (Conover, table A3) at 97.9 %."""
    assert stats.percentile_ci(np.arange(1, 11), 50) == (2.0, 9.0)


def test_ratio_is_geometric_and_skips_what_is_not_positive() -> None:
    """Ratios 2 and 1/2 cancel to 1; prompts without a positive pair are not used."""
    found = stats.geometric_mean_ratio([2.0, 1.0, 0.0, np.nan], [1.0, 2.0, 1.0, 1.0])
    assert found is not None
    assert found[0] == pytest.approx(1.0)
    assert found[2] == 2
    assert stats.geometric_mean_ratio([0.0], [1.0]) is None


def test_no_divergence_bounds() -> None:
    """Nothing in 10 and 60 leaves room for 26 % and 5 %; near 3/n for large n (rule of three)."""
    assert stats.divergence_bound(10) == pytest.approx(0.259, abs=1e-3)
    assert stats.divergence_bound(60) == pytest.approx(0.0487, abs=1e-4)
    assert stats.divergence_bound(3000) == pytest.approx(3 / 3000, rel=0.01)
    assert stats.divergence_bound(0) is None


def _coverage(n: int, simulations: int, kind: str) -> float:
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(simulations):
        rates = rng.beta(2.0, 1.0, n)
        values = rates if kind == "rates" else rng.binomial(5, rates) / 5
        found = stats.mean_ci(values)
        assert found is not None
        hits += found[0] <= 2 / 3 <= found[1]
    return hits / simulations


@pytest.mark.parametrize(
    ("n", "simulations", "kind"),
    [(15, 2000, "rates"), (50, 200, "rates"), (100, 200, "repeats"), (600, 2000, "repeats")],
)
def test_intervals_cover_95_percent(n: int, simulations: int, kind: str) -> None:
    """t, both resampling ways and the analytic form cover the truth 95 % of the time."""
    slack = 3.0 * math.sqrt(0.95 * 0.05 / simulations)
    assert _coverage(n, simulations, kind) == pytest.approx(0.95, abs=slack)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.randoms(use_true_random=False),
)
def test_interval_does_not_depend_on_order(values: list[float], random: object) -> None:
    """Shuffled prompts give the same interval, and it holds the mean."""
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = stats.mean_ci(values), stats.mean_ci(shuffled)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert first == pytest.approx(second, abs=1e-9)
        assert first[0] - 1e-9 <= float(np.mean(values)) <= first[1] + 1e-9


def test_the_same_seed_gives_the_same_bits() -> None:
    """Resampled intervals are bit-identical for one seed and differ for another."""
    values = np.random.default_rng(1).exponential(size=60)
    assert stats.mean_ci(values, seed=5) == stats.mean_ci(values, seed=5)
    assert stats.mean_ci(values, seed=5) != stats.mean_ci(values, seed=6)


Side = tuple[np.ndarray, np.ndarray]  # values of trials, and the prompt of each


def _trials(seed: int, prompts: int, repeats: int) -> list[Side]:
    """Two sides of skewed trials that share what is slow or fast about a prompt."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(prompts), repeats)
    shared = rng.normal(0, 0.5, prompts)[prompt]
    return [(np.exp(shared + rng.normal(shift, 0.5, prompt.size)), prompt) for shift in (0.1, 0)]


def _differences(a: Side, b: Side) -> list[tuple[float, float, tuple[float, float] | None]]:
    """Median and p95 of both sides, and the intervals of their differences."""
    count = int(max(a[1].max(), b[1].max())) + 1
    top, base = (stats.quantiles(*side, count, (0.5, 0.95)) for side in (a, b))
    return [
        (one.value, other.value, stats.quantile_difference(one, other))
        for one, other in zip(top, base, strict=True)
    ]


def test_percentile_differences_match_the_paired_bootstrap() -> None:
    """Median and p95 differences have the interval that resampling whole prompts gives."""
    a, b = _trials(0, 200, 3)
    found = _differences(a, b)
    rng = np.random.default_rng(1)
    tables = [side[0].reshape(200, 3) for side in (a, b)]
    draws = rng.integers(0, 200, (2000, 200))
    for (top, base, ends), share in zip(found, (0.5, 0.95), strict=True):
        assert (top, base) == tuple(float(np.quantile(side[0], share)) for side in (a, b))
        assert ends is not None
        resampled = np.array(
            [np.subtract(*(np.quantile(t[draw], share) for t in tables)) for draw in draws]
        )
        width = float(np.diff(np.quantile(resampled, [0.025, 0.975]))[0])
        assert ends[1] - ends[0] == pytest.approx(width, rel=0.2)
        assert ends[0] <= top - base <= ends[1]


def test_percentile_differences_cover() -> None:
    """The intervals hold the true difference at least 95 % of the time (± 3 MC)."""
    truth = {0: np.exp(0.1) - 1, 1: np.exp(1.644854 * np.sqrt(0.5)) * (np.exp(0.1) - 1)}
    hits = np.zeros(2)
    for seed in range(400):
        for i, (_, _, ends) in enumerate(_differences(*_trials(seed, 100, 3))):
            assert ends is not None
            hits[i] += ends[0] <= truth[i] <= ends[1]
    assert (hits / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)).all()


@pytest.mark.parametrize("clusters", [30, 10_000])
def test_clusters_that_are_copies_have_no_interval(clusters: int) -> None:
    """Each prompt costs the same under every setting: nothing varies between prompts."""
    labels = np.repeat(np.arange(clusters), 2)
    for cheap in np.linspace(0.001, 0.01, 20):  # where rounding hides that they are copies, too
        costs = np.tile([cheap, 3 * cheap], clusters)
        assert stats.mean_ci(costs, clusters=labels, scale="real") is None


def test_a_p95_difference_needs_59_trials() -> None:
    """Below 59 trials a side no upper bound exists, so the interval is null; the median has one."""
    for trials, known in ((58, False), (59, True)):
        (a, b) = _trials(3, trials, 1)
        median, tail = _differences(a, b)
        assert median[2] is not None
        assert (tail[2] is not None) is known
    assert stats.quantiles(np.zeros(0), np.zeros(0, int), 1, (0.5,)) == []


_values = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 1000).map(lambda n: n / 8)),
    min_size=1,
    max_size=90,
)


@settings(max_examples=60, deadline=None)
@given(_values)
def test_sums_say_as_much_as_values(rows: list[tuple[int, float]]) -> None:
    """Few clusters, many clusters, equal values, a single cluster: the same ends, or none."""
    labels = np.array([label for label, _ in rows])
    values = np.array([value for _, value in rows])
    sizes = np.bincount(labels)
    there = sizes > 0
    found = stats.ratio_ci(
        np.bincount(labels, values)[there],
        sizes[there].astype(np.float64),
        lowest=float(values.min()),
        highest=float(values.max()),
    )
    expected = stats.mean_ci(values, clusters=labels, scale="real")
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9))
