"""The paired sign-flip test and the interval that it gives, many comparisons at once.

Under "the mean difference is θ" the two settings of a comparison are exchangeable for each prompt
but for θ, so the sign of a prompt's difference less θ is a coin toss (Fisher, *The Design of
Experiments*, 1935, §21). Where prompts form clusters, a cluster changes sign as a whole.

The interval is the set of θ that the test does not reject at .05, so that "p below .05" and "the
interval leaves 0 out" are one event. A pattern of signs is at least as extreme as the data exactly
for the θ between the mean of the units it leaves and the mean of those it flips; the ends of the
interval are therefore order statistics of these means (Hartigan's typical values, JASA 64, 1969),
and one pass over the patterns gives p and interval.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.cluster_robust import effective_units
from evalharness.analysis.stats.distribution_functions import normal_cdf, normal_quantile
from evalharness.analysis.stats.intervals import LEVEL, Interval, is_constant, wilson
from evalharness.analysis.stats.sign_patterns import ALL_UP_TO, DRAWS, Patterns
from evalharness.analysis.stats.unit_differences import UnitDifferences

Floats = NDArray[np.float64]

#: Fewer units can never give p below .05: 2 / 2^5 = .0625.
MIN_UNITS = 6
ALPHA = 1.0 - LEVEL
_BEYOND_ZERO = 1e-9  # the end of an interval that is open at 0
_COLUMNS_AT_ONCE = 128  # 9,999 patterns of them are 20 MB


class FlipTests(NamedTuple):
    """Results of :class:`SignFlips`, one entry a column.

    Attributes:
        p: two-sided p values; 1 where all differences are 0, NaN where no prompt is joined.
        low, high: ends of the 95 % intervals; NaN where undefined.
    """

    p: Floats
    low: Floats
    high: Floats

    def interval(self, column: int) -> Interval | None:
        """The interval of a column; None where it is undefined."""
        ends = float(self.low[column]), float(self.high[column])
        return ends if all(map(math.isfinite, ends)) else None


class _FlipTest(NamedTuple):
    """The p value and the ends of the interval of one column."""

    p: float
    low: float
    high: float


def sign_flip(
    differences: ArrayLike,
    *,
    clusters: NDArray[Any] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Floats:
    """Two-sided p values for "the mean difference is 0", one a column; see :class:`SignFlips`.

    Args:
        differences: prompts × comparisons; NaN where a prompt is not joined. One dimension is
            one comparison.
        clusters: one label a prompt, None for independent prompts.
        seed: of the draws. The pattern a prompt gets depends on its row and the seed alone, not
            on which other columns are tested.
        draws: how many random patterns.

    """
    table = np.asarray(differences, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    flips = SignFlips(clusters=clusters, seed=seed, draws=draws)
    for column in table.T:
        flips.add(column)
    return flips.tests().p


def difference_test(
    differences: ArrayLike,
    *,
    clusters: NDArray[Any] | None = None,
    bounded: bool = True,
    seed: int = 0,
    draws: int = DRAWS,
) -> FlipTests:
    """Test one column of paired differences; arguments as of :class:`SignFlips`."""
    flips = SignFlips(clusters=clusters, seed=seed, draws=draws)
    flips.add(np.asarray(differences, dtype=np.float64), bounded=bounded)
    return flips.tests()


class SignFlips:
    """Tests of columns that are added one by one.

    All patterns of a column with at most 13 units are tried. Of more units ``draws`` random ones
    are, which all columns share: drawing the signs costs as much as multiplying them with dozens of
    columns, so everything that is tested over the same units is best added to one object. From 500
    units on, none of which dominates, the sum under random signs is normal. Where at most 13 units
    differ at all, p is exact, whatever their number.

    The interval of a column is undefined with fewer than :data:`MIN_UNITS` units, and where all
    differences are equal to something else than 0, 1 or -1. Where differences of shares are all 0
    the interval is ``(-u, u)`` with u the Wilson bound on the share of prompts that differ; where
    all are 1 (or -1) it is what Wilson leaves on that side.

    Args:
        clusters: one label a prompt, None for independent prompts.
        seed: of the draws.
        draws: how many random patterns.
    """

    def __init__(
        self, *, clusters: NDArray[Any] | None = None, seed: int = 0, draws: int = DRAWS
    ) -> None:
        self._codes = (
            None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
        )
        self._seed = seed
        self._draws = draws
        self._tests: list[_FlipTest] = []
        self._columns: list[UnitDifferences] = []  # for random patterns
        self._row_by_digest: dict[bytes, int] = {}
        self._waiting: dict[int, _Waiting] = {}

    def units_of(self, column: Floats) -> UnitDifferences:
        """The sums and sizes of the units of a column of differences."""
        return UnitDifferences.of(column, self._codes)

    def add(self, column: Floats, *, bounded: bool = True, p: float | None = None) -> int:
        """Add a column, one entry a prompt; returns its number.

        Args:
            column: differences, NaN where a prompt is not joined.
            bounded: whether they are differences of shares, in [-1, 1].
            p: the p value of another test of the same hypothesis, which the interval is to agree
                with; None takes that of the sign flips.
        """
        units, number = self.units_of(column), len(self._tests)
        constant = _constant_ends(units, bounded=bounded)
        test = _FlipTest(math.nan, math.nan, math.nan)
        if units.known and units.known <= ALL_UP_TO:
            test = _enumerate(units)
        elif units.known and units.is_normal:
            test = _normal_test(units, 1.0 / (1.0 + self._draws))
        elif units.known:
            row = self._row_by_digest.setdefault(units.digest(), len(self._columns))
            if row == len(self._columns):
                self._columns.append(units)
            exact = _exact_p(units) if p is None else p
            self._waiting[number] = _Waiting(row, exact, constant, bounded)
        self._tests.append(_finish(test, p, units, constant, bounded=bounded))
        return number

    def tests(self) -> FlipTests:
        """The tests of all columns; nothing can be added afterwards."""
        drawn = _draw(self._columns, self._seed, self._draws)
        for number, waiting in self._waiting.items():
            test, units = drawn[waiting.row], self._columns[waiting.row]
            self._tests[number] = _finish(
                test, waiting.p, units, waiting.constant, bounded=waiting.bounded
            )
        table = np.array(self._tests, dtype=np.float64).reshape(-1, 3)
        return FlipTests(table[:, 0], table[:, 1], table[:, 2])


class _Waiting(NamedTuple):
    """A column that waits for random patterns: what :func:`_finish` takes, and its row there."""

    row: int
    p: float | None
    constant: Interval | None
    bounded: bool


def _finish(
    test: _FlipTest,
    p: float | None,
    units: UnitDifferences,
    constant: Interval | None,
    *,
    bounded: bool,
) -> _FlipTest:
    """The test with the p value and the interval that are to be told."""
    shown, mean = test.p if p is None else p, units.mean
    if constant is not None:
        return _FlipTest(shown, *constant)
    low, high = test.low, test.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return _FlipTest(shown, math.nan, math.nan)
    if bounded:
        low, high = max(-1.0, low), min(1.0, high)
    if shown >= ALPHA - 1e-12:
        low, high = min(low, 0.0), max(high, 0.0)
        if bounded:
            low, high = _unseen_side(units, low, high)
    elif low <= 0.0 <= high:  # 0 itself is rejected, what is next to it is not
        low, high = (_BEYOND_ZERO, high) if mean > 0.0 else (low, -_BEYOND_ZERO)
    return _FlipTest(shown, low, high)


def _unseen_side(units: UnitDifferences, low: float, high: float) -> Interval:
    """Ends at 0 where no unit differs in that direction: as many may as Wilson leaves unseen."""
    bounds = wilson(0, effective_units(units.sizes[units.sizes > 0]))
    assert bounds is not None
    if low == 0.0 and units.lowest >= 0.0:
        low = -bounds[1]
    if high == 0.0 and units.highest <= 0.0:
        high = bounds[1]
    return low, high


def _constant_ends(units: UnitDifferences, *, bounded: bool) -> Interval | None:
    """The interval where all differences (or all means of units) are equal; None where they vary.

    NaN ends where it is undefined.
    """
    undefined = math.nan, math.nan
    if not units.known:
        return undefined
    present = units.sizes > 0
    if not is_constant(np.array([units.lowest, units.highest])):
        if is_constant(units.sums[present] / units.sizes[present]):
            return undefined  # differences vary only within clusters
        return None
    bounds = wilson(0, effective_units(units.sizes[present]))
    assert bounds is not None
    value, unseen = round(units.mean, 12), bounds[1]
    if bounded and value == 0.0:
        return -unseen, unseen
    if not bounded or value not in (1.0, -1.0) or units.known < MIN_UNITS:
        return undefined
    return (1.0 - unseen, 1.0) if value > 0.0 else (-1.0, unseen - 1.0)


def _enumerate(units: UnitDifferences) -> _FlipTest:
    """The test of a column with few units, from all patterns."""
    present = units.sizes > 0
    few = UnitDifferences(units.sums[present], units.sizes[present], units.lowest, units.highest)
    return _tests_of([few], Patterns(few.known, None), seed=0)[0]


def _exact_p(units: UnitDifferences) -> float | None:
    """The exact p where few units differ from 0, though there are many; None where many do."""
    nonzero = units.sums[np.abs(units.sums) > 1e-12]
    if nonzero.size > ALL_UP_TO:
        return None
    if not nonzero.size:
        return 1.0
    sizes = np.ones(nonzero.size)
    return _enumerate(UnitDifferences(nonzero, sizes, units.lowest, units.highest)).p


def _draw(columns: list[UnitDifferences], seed: int, draws: int) -> list[_FlipTest]:
    """The tests of columns over the same units, from random patterns."""
    tests: list[_FlipTest] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        some = columns[start : start + _COLUMNS_AT_ONCE]
        tests += _tests_of(some, Patterns(some[0].sums.size, draws), seed)
    return tests


def _tests_of(columns: list[UnitDifferences], patterns: Patterns, seed: int) -> list[_FlipTest]:
    """Test columns over the same units by the same patterns.

    The sum of the units with a plus tells the means of both groups of a pattern: so the signs are
    plain bits, and one matrix product serves all columns.
    """
    sums = np.stack([column.sums for column in columns])
    sizes = np.stack([column.sizes for column in columns])
    shared = bool((sizes == sizes[0]).all())
    weights = sizes[:1] if shared else sizes
    total, count = sums.sum(axis=1), weights.sum(axis=1)
    rounding = np.array([column.rounding() for column in columns])

    def typical_values(plus: Floats) -> tuple[Floats, Floats]:
        top, above = plus @ sums.T, plus @ weights.T
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = top / above, (total - top) / (count - above)
        for mean in (first, second):
            mean[np.abs(mean) <= rounding] = 0.0
        low, high = np.fmin(first, second), np.fmax(first, second)
        everything = np.broadcast_to((above <= 0.0) | (above >= count), low.shape)
        low[everything], high[everything] = -np.inf, np.inf
        return low, high

    blocks = list(patterns.map(typical_values, seed))
    low = np.concatenate([block[0] for block in blocks])
    high = np.concatenate([block[1] for block in blocks])
    p = patterns.p_value(((low <= 0.0) & (high >= 0.0)).sum(axis=0))
    rank = patterns.fewest_not_rejected(ALPHA)
    if rank:
        ends = np.partition(low, rank - 1, axis=0)[rank - 1], np.partition(high, -rank, 0)[-rank]
    else:  # so few patterns that none is rejected
        ends = np.full(len(columns), -np.inf), np.full(len(columns), np.inf)
    return [_FlipTest(*map(float, row)) for row in zip(p, *ends, strict=True)]


def _normal_test(units: UnitDifferences, least: float) -> _FlipTest:
    """The test of a column whose sum under random signs is normal; p is at least ``least``.

    The interval holds the θ with ``(S - N θ)² <= z² sum (s - n θ)²``.
    """
    sums, sizes = units.sums, units.sizes
    z = normal_quantile((1.0 + LEVEL) / 2.0)
    total, count, squares = float(sums.sum()), float(sizes.sum()), float(sums @ sums)
    p = 2.0 * normal_cdf(-abs(total) / math.sqrt(squares)) if squares else 1.0
    a = count**2 - z * z * float(sizes @ sizes)
    b = total * count - z * z * float(sums @ sizes)
    c = total**2 - z * z * squares
    root = math.sqrt(max(0.0, b * b - a * c))
    return _FlipTest(max(p, least), (b - root) / a, (b + root) / a)
