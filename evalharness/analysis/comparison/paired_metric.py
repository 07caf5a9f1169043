"""A metric on the two sides of a comparison, prompt by prompt."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.matching import SettingPair
from evalharness.analysis.data.exact_sums import sums_of_rows
from evalharness.analysis.data.join_runs import Floats, Ints, JoinedRuns, SettingColumn
from evalharness.analysis.data.metrics import ERROR_SHARE, is_amount

_TIE = 1e-12  # of the values: a difference within rounding is a tie


class MetricMatrix(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A metric of all prompts × columns.

    Attributes:
        name: of the metric.
        values: the mean over usable repeats; NaN unknown.
        repeats: usable repeats behind each value.
        missing: share of trials without a usable value; NaN where there were no trials.
        errors_as_failures: the score with each error counted as 0; None for other metrics, or
            without errors.

    """

    name: str
    values: Floats
    repeats: Ints
    missing: Floats
    errors_as_failures: Floats | None

    @classmethod
    def of(cls, joined: JoinedRuns, metric: str) -> MetricMatrix | None:
        """The matrix of a metric; None when no prompt has a value."""
        if metric == ERROR_SHARE and not joined.errors.any():
            return None  # 0 against 0 is no line worth reading
        values = joined.values(metric)
        if not np.isfinite(values).any():
            return None
        repeats, trials, errors = joined.repeats(metric), joined.trials, joined.errors
        errors_as_failures = None
        if metric.startswith("score") and errors.any():
            # An error is a failure only where there was something to score.
            gradable = joined.targets() | np.isfinite(values).any(axis=1)
            counted = np.where(gradable[:, None], repeats + errors, 0)
            total = np.where(np.isfinite(values), values, 0.0) * repeats
            errors_as_failures = np.where(counted > 0, total / np.maximum(counted, 1), np.nan)
        share = 1.0 - np.minimum(repeats, trials) / np.maximum(trials, 1)
        return cls(
            name=metric,
            values=values,
            repeats=repeats,
            missing=np.where(trials > 0, share, np.nan),
            errors_as_failures=errors_as_failures,
        )


class PairedMetric(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """A metric on the two sides of a pair, prompt by prompt.

    Attributes:
        pair: the compared and the baseline side.
        metric: the metric of all columns.
        a, b: values of the compared and the baseline side where *both* are known, else NaN; for
            pooled strata the mean over the strata where both are known.

    """

    pair: SettingPair
    metric: MetricMatrix
    a: Floats
    b: Floats

    @classmethod
    def of(cls, pair: SettingPair, metric: MetricMatrix) -> PairedMetric:
        """Select the two sides of a pair from the matrix."""
        a, b = joined_sides(metric.values, pair)
        return cls(pair=pair, metric=metric, a=a, b=b)

    @cached_property
    def differences(self) -> Floats:
        """Compared minus baseline, one a prompt; NaN where the prompt is not joined."""
        return self.a - self.b

    @cached_property
    def joined(self) -> Any:
        """Which prompts have a value on both sides."""
        return np.isfinite(self.differences)

    @property
    def n(self) -> int:
        """Prompts joined."""
        return int(self.joined.sum())

    def repeats(self, side: tuple[SettingColumn, ...]) -> int:
        """Return the largest number of usable repeats behind a joined value of a side."""
        counts = self.metric.repeats[:, [column.index for column in side]]
        return int(counts[self.joined].max(initial=0))

    def unmatched(self) -> tuple[int, int]:
        """Count prompts that have a value on the compared, or on the baseline, side only."""
        sides = [
            np.isfinite(self.metric.values[:, [c.index for c in side]]).any(axis=1)
            for side in (self.pair.compared, self.pair.baseline)
        ]
        return tuple(int((side & ~self.joined).sum()) for side in sides)  # pyright: ignore[reportReturnType]

    def tally(self) -> tuple[int, int, int]:
        """Count prompts that are up, down, tied."""
        a, b = self.a[self.joined], self.b[self.joined]
        tied = np.abs(a - b) <= _TIE * np.maximum(np.abs(a), np.abs(b))
        return int(((a > b) & ~tied).sum()), int(((a < b) & ~tied).sum()), int(tied.sum())

    def correlation(self) -> float | None:
        """Return Pearson's correlation of the two sides; None where either does not vary."""
        a, b = self.a[self.joined], self.b[self.joined]
        if a.size < 2 or any(np.ptp(x) <= _TIE * np.abs(x).max() for x in (a, b)):
            return None
        return float(np.corrcoef(a, b)[0, 1])

    def variance_growth(self) -> tuple[Callable[[float], float], float]:
        """By what the variance of the differences grows with the difference, and the largest one.

        Pass/fail scores bring more variance where a difference leads away from 0 or 1; amounts
        differ by a factor, which spreads them by the same.
        """
        if is_amount(self.metric.name):
            a, b = self.a[self.joined], self.b[self.joined]
            return stats.factor_growth(a, b), math.inf
        columns = [c.index for c in (*self.pair.compared, *self.pair.baseline)]
        values = self.metric.values[:, columns][self.joined]
        passed = values * self.metric.repeats[:, columns][self.joined]
        known = passed[np.isfinite(passed)]
        if not self.metric.name.startswith("score") or np.any(np.abs(known - known.round()) > 1e-9):
            return stats.no_growth, 1.0
        a, b = self.a[self.joined], self.b[self.joined]
        return stats.pass_rate_growth(float(a.mean()), float(b.mean()))

    def discordant(self) -> tuple[int, int] | None:
        """Return McNemar's b and c: prompts right only at the compared, only at the baseline side.

        None unless this is one pass/fail outcome a side and a prompt.
        """
        if not self.metric.name.startswith("score") or self.pair.pooled:
            return None
        if max(self.repeats(self.pair.compared), self.repeats(self.pair.baseline)) != 1:
            return None
        sides = np.concatenate([self.a[self.joined], self.b[self.joined]])
        if not np.isin(sides, (0.0, 1.0)).all():
            return None
        up, down, _ = self.tally()
        return up, down


def joined_sides(values: Floats, pair: SettingPair) -> tuple[Floats, Floats]:
    """The two sides of a pair where both are known, averaged over matched strata."""
    a = values[:, [column.index for column in pair.compared]]
    b = values[:, [column.index for column in pair.baseline]]
    known = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(known, a, np.nan), np.where(known, b, np.nan)
    if not pair.pooled:
        return a[:, 0], b[:, 0]
    strata = known.sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 / 0: a prompt known in no stratum stays NaN
        sums = (sums_of_rows(np.where(known, side, 0.0)) for side in (a, b))
        first, second = (total / strata for total in sums)
    return first, second
