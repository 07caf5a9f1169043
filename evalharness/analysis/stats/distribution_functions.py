"""Distribution functions (normal, t, chi-squared, binomial), typed, from ``scipy.special``.

``scipy.stats`` holds the same under friendlier names but takes several times as long to import, and
every ``report`` pays that; the tests check these against ``scipy.stats``.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _functions() -> Any:
    """``scipy.special``, imported by the first call: not every command needs it."""
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    return cast("Any", special)  # scipy ships no type stubs


def normal_cdf(x: float) -> float:
    """P(Z <= x) for a standard normal Z."""
    return float(_functions().ndtr(x))


def normal_quantile(p: float) -> float:
    """Return the x with P(Z <= x) = p; infinite at 0 and 1."""
    return float(_functions().ndtri(p))


def normal_quantiles(p: Floats) -> Floats:
    """:func:`normal_quantile` of each of an array."""
    return cast("Floats", _functions().ndtri(p))


def owens_t(h: float, a: float) -> float:
    """Owen's T function (Ann. Math. Stat. 27, 1956), of which bivariate normals are made."""
    return float(_functions().owens_t(h, a))


def t_cdf(x: float, df: float) -> float:
    """P(T <= x) for Student's t with ``df`` degrees of freedom."""
    return float(_functions().stdtr(df, x))


def t_quantile(p: float, df: float) -> float:
    """Return the x with P(T <= x) = p for Student's t."""
    return float(_functions().stdtrit(df, p))


def noncentral_t_cdf(x: float, df: float, shift: float) -> float:
    """P(T <= x) for Student's t whose numerator has the mean ``shift``, at least 0.

    scipy gives NaN for some probabilities that are all but 0; here they are 0.
    """
    p = float(_functions().nctdtr(df, shift, x))
    return 0.0 if math.isnan(p) else p


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) for a chi-squared X with ``df`` degrees of freedom."""
    return float(_functions().chdtrc(df, x))


def chi2_quantile(p: float, df: float) -> float:
    """The value that a chi-square with ``df`` degrees of freedom is below with chance ``p``."""
    return float(_functions().chdtri(df, 1.0 - p))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for X ~ Binomial(n, p); 0 for k < 0."""
    return 0.0 if k < 0 else float(_functions().bdtr(k, n, p))


def binomial_probabilities(k: NDArray[np.int64], n: int, p: float) -> Floats:
    """P(X = k) for X ~ Binomial(n, p), for each of ``k``."""
    cumulated: Floats = np.asarray(_functions().bdtr(k, n, p), dtype=np.float64)
    below: Floats = np.where(k > 0, _functions().bdtr(np.maximum(k - 1, 0), n, p), 0.0)
    return cumulated - below


def log_binomial(n: Floats, k: Floats) -> Floats:
    """Natural log of the binomial coefficient; -inf where k < 0 or k > n."""
    inside = (k >= 0) & (k <= n)
    kk = np.where(inside, k, 0.0)
    value = (
        _functions().gammaln(n + 1)
        - _functions().gammaln(kk + 1)
        - _functions().gammaln(n - kk + 1)
    )
    return np.where(inside, value, -np.inf)
