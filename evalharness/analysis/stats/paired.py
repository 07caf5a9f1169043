"""Tests for paired data other than the permutation test, and corrections for many tests.

None (NaN in arrays) means that the figure is undefined for these data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.distribution_functions import (
    binomial_cdf,
    chi2_sf,
    normal_cdf,
    t_cdf,
)
from evalharness.analysis.stats.intervals import standard_error

Floats = NDArray[np.float64]


def mcnemar_mid_p(b: int, c: int) -> float:
    """Return the two-sided mid-p of McNemar's test; 1 when nothing differs.

    ``b`` prompts passed only on one side, ``c`` only on the other. Source: Fagerland, Lydersen and
    Laake, BMC Med. Res. Methodol. 13:91 (2013): twice the binomial tail, less the probability of
    the observed table.
    """
    n, low = b + c, min(b, c)
    if n == 0:
        return 1.0
    at_least = binomial_cdf(low, n, 0.5)
    observed = at_least - binomial_cdf(low - 1, n, 0.5)
    return min(1.0, 2.0 * at_least - observed)


def cochran_q(passed: ArrayLike) -> tuple[float, float, int] | None:
    """Cochran's Q for three or more settings with one binary outcome a prompt.

    Args:
        passed: prompts × settings of 0, 1 and NaN; prompts with a NaN are left out.

    Returns:
        ``(Q, p, prompts used)``; None when no prompt distinguishes the settings.
        Source: Cochran, Biometrika 37 (1950) 256-266.

    """
    table = _complete(passed)
    settings = table.shape[1]
    columns, rows = table.sum(axis=0), table.sum(axis=1)
    spread = float(settings * rows.sum() - np.sum(rows**2))
    if settings < 2 or spread <= 0.0:
        return None
    q = (settings - 1) * float(settings * np.sum(columns**2) - columns.sum() ** 2) / spread
    return q, chi2_sf(q, settings - 1), table.shape[0]


def page_trend(values: ArrayLike) -> tuple[float, float, int] | None:
    """Page's test for a monotone trend over ordered settings, two-sided.

    For latency and other ordinal data; ranks react to the *shape* of per-prompt success rates, so
    it must not be used for scores across temperatures. Normal approximation, average ranks for
    ties. Source: Page, JASA 58 (1963) 216-230.

    Args:
        values: prompts × settings in the order of the axis; prompts with a NaN are left out.

    Returns:
        ``(z, p, prompts used)``, z positive for rising values; None below three settings, without
        a complete prompt, or when every prompt is constant.

    """
    table = _complete(values)
    prompts, settings = table.shape
    if settings < 3 or prompts == 0 or not np.diff(table, axis=1).any():
        return None
    rank_sums = np.zeros(settings)
    for column in range(settings):
        # A rank is 1, plus the values below, plus half of the ties with others.
        above: Floats = np.sign(table[:, [column]] - table)
        rank_sums[column] = prompts * (settings + 1) / 2.0 + float(above.sum()) / 2.0
    statistic = sum(index * float(ranks) for index, ranks in enumerate(rank_sums, start=1))
    centre = prompts * settings * (settings + 1) ** 2 / 4.0
    variance = prompts * settings**2 * (settings + 1) * (settings**2 - 1) / 144.0
    z = (statistic - centre) / math.sqrt(variance)
    return z, 2.0 * normal_cdf(-abs(z)), prompts


def tost(
    differences: ArrayLike, margin: float, *, clusters: NDArray[Any] | None = None
) -> float | None:
    """Return the p of two one-sided t tests: a small p says the means differ by under ``margin``.

    Source: Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987) 657-680. None when undefined (fewer
    than two prompts, or differences that are all equal).
    """
    spread = standard_error(differences, clusters)
    if spread is None or margin <= 0:
        return None
    mean, error, df = spread.mean, spread.error, spread.df
    below = t_cdf((mean - margin) / error, df)
    above = t_cdf(-(mean + margin) / error, df)
    return max(below, above)


def holm(p: ArrayLike) -> tuple[Floats, int]:
    """Adjust p values for a family of tests, controlling the chance of any false positive.

    Source: Holm, Scand. J. Statist. 6 (1979) 65-70.

    Returns:
        Adjusted p in the order given, NaN where p is NaN (dropped from the family), and how many
        were dropped.

    """
    raw = np.asarray(p, dtype=np.float64)
    present = np.flatnonzero(np.isfinite(raw))
    order = present[np.argsort(raw[present], kind="stable")]
    adjusted = np.full(raw.shape, np.nan)
    scaled = raw[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted, int(raw.size - present.size)


def benjamini_hochberg(p: ArrayLike) -> tuple[Floats, int]:
    """Adjust p values controlling the expected share of false positives among the findings.

    For exploratory grids. Source: Benjamini and Hochberg, J. R. Statist. Soc. B 57 (1995). NaN as
    in :func:`holm`.
    """
    raw = np.asarray(p, dtype=np.float64)
    present = np.flatnonzero(np.isfinite(raw))
    order = present[np.argsort(raw[present], kind="stable")]
    adjusted = np.full(raw.shape, np.nan)
    scaled = raw[order] * order.size / np.arange(1, order.size + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted, int(raw.size - present.size)


def _complete(values: ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    return table[np.isfinite(table).all(axis=1)]
