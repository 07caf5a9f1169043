"""Estimates for k repeats from n observed ones: pass@k, pass^k, G-Pass@k, TAR@k.

All are expectations over a draw of k of the n repeats without replacement (hypergeometric), so they
are unbiased and comparable between prompts with different n. Arguments broadcast; results are
float arrays, NaN where fewer than k repeats exist (k > n) or k < 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalharness.analysis.stats.distribution_functions import log_binomial

Floats = NDArray[np.float64]


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    """Probability that all of k repeats pass: ``C(c, k) / C(n, k)``.

    Source: Yao et al., tau-bench, arXiv 2406.12045. ``n`` repeats a prompt, ``c`` of them passed.
    Summed over the output variants of a prompt (c = how often each occurred) it is TAR@k.
    """
    return _all_of_k(*_arrays(n, c), k)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    """Probability that at least one of k repeats passes: ``1 - C(n-c, k) / C(n, k)``.

    Source: Chen et al., arXiv 2107.03374.
    """
    total, passed = _arrays(n, c)
    return 1.0 - _all_of_k(total, total - passed, k)


def g_pass_at_k(n: ArrayLike, c: ArrayLike, k: int, tau: float) -> Floats:
    """Probability that at least ``ceil(tau k)`` (and at least one) of k repeats pass.

    Source: Liu et al., G-Pass@k, arXiv 2412.13147. ``tau`` in (0, 1]; tau = 1 is pass^k.
    """
    total, passed = _arrays(n, c)
    # tau * k is rounded first: 0.7 * 10 is 7.000000000000001 in binary.
    need = max(1, int(np.ceil(round(tau * k, 9))))
    result = np.zeros(total.shape)
    kk = np.full(total.shape, float(k))
    with np.errstate(invalid="ignore"):
        ways = log_binomial(total, kk)
        for hits in range(need, k + 1):
            h = np.full(total.shape, float(hits))
            log_p = log_binomial(passed, h) + log_binomial(total - passed, kk - h) - ways
            result += np.exp(log_p)
    return np.where((total >= k) & (k >= 1), np.minimum(result, 1.0), np.nan)


def tar_at_k(counts: ArrayLike, k: int, n: ArrayLike | None = None) -> Floats:
    """Probability that k repeats of a prompt all agree (total agreement rate, rarefied).

    ``sum over variants of C(count, k) / C(n, k)``; k = 2 is pairwise agreement, k = n is 1 exactly
    when all repeats agree (Atil et al., arXiv 2408.04667, made unbiased in k).

    Args:
        counts: how often each variant occurred: one row a prompt (zero-padded), or one prompt.
        k: how many repeats.
        n: usable repeats a prompt when larger than the sum of counts (unparsed answers agree with
            nothing but stay in the denominator); None for the sum.

    Returns:
        One value a prompt (an array of one for one prompt); NaN where n < k.

    """
    table = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    total = table.sum(axis=1) if n is None else np.broadcast_to(n, table.shape[:1])
    total = np.asarray(total, dtype=np.float64)
    value = _all_of_k(np.broadcast_to(total[:, None], table.shape), table, k).sum(axis=1)
    return np.minimum(value, 1.0)


def _arrays(n: ArrayLike, c: ArrayLike) -> tuple[Floats, Floats]:
    total, passed = np.broadcast_arrays(
        np.asarray(n, dtype=np.float64), np.asarray(c, dtype=np.float64)
    )
    return total, passed


def all_of_each_k(n: ArrayLike, c: ArrayLike, max_k: int) -> Iterator[Floats]:
    """Yield ``C(c, k) / C(n, k)`` for k = 1, 2, … ``max_k``, in one pass; NaN where k > n.

    Each is the one before, times ``(c - k + 1) / (n - k + 1)``: what :func:`pass_hat_k` gives for
    ``c`` passed, and 1 minus :func:`pass_at_k` for ``c`` failed.
    """
    total, passed = _arrays(n, c)
    value = np.ones(total.shape)
    for drawn in range(max_k):
        enough = total > drawn
        value = value * np.maximum(passed - drawn, 0.0) / np.where(enough, total - drawn, 1.0)
        yield np.where(enough, value, np.nan)


def _all_of_k(n: Floats, c: Floats, k: int) -> Floats:
    """``C(c, k) / C(n, k)``, exact to rounding; NaN where k > n or k < 1."""
    last = deque(all_of_each_k(n, c, k), maxlen=1)
    return last[0] if last else np.full(n.shape, np.nan)
