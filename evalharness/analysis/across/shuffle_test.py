"""Do two settings differ by more than the repeats of each do? A test within prompts.

Where two settings answer a prompt alike, its outputs could have come under either of them in any
order. So the outputs of each prompt are dealt to the two settings at random, each keeping its
number of repeats; the statistic is the sum over prompts of ``own - across``: the mean pairwise
agreement of the two settings, less the agreement across them. It is 0 on average whatever the
noise, and positive where the two give different outputs, or the same ones in other shares (an
energy distance: Székely and Rizzo, J. Stat. Plan. Inference 143, 2013). Exact for any number of
prompts and clusters, as long as trials are independent.
"""

from __future__ import annotations

import math

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, Ints

#: From so many outputs and prompts on, the sum is taken as normal, which it nearly is.
NORMAL_OUTPUTS = 10_000
NORMAL_PROMPTS = 2_000
_DRAWS = 9_999
_SHUFFLES = 20_000_000  # outputs dealt in a report, shared by its pairs


def own_against_across_p(a: Ints, b: Ints, prompt: Ints, *, pairs: int = 1) -> float | None:
    """One-sided p of "both settings give the outputs of each prompt with the same chances".

    Args:
        a, b: how often each setting gave each output, at least one of the two.
        prompt: the prompt of each output, ascending; those with fewer than two repeats on a side
            have no influence.
        pairs: how many pairs of settings share the shuffles of a report.

    Returns:
        None where no prompt has two repeats on both sides.

    """
    prompts = _renumber(prompt)
    n_a = np.bincount(prompts, a).astype(np.float64)
    n_b = np.bincount(prompts, b).astype(np.float64)
    enough = (n_a >= 2) & (n_b >= 2)
    if not enough.any():
        return None
    # A prompt with one output in all says nothing, however its repeats are dealt.
    varied = enough & (np.bincount(prompts) > 1)
    keep = varied[prompts]
    if not keep.any():
        return 1.0
    prompts = _renumber(prompts[keep])
    a, b, n_a, n_b = a[keep], b[keep], n_a[varied], n_b[varied]
    outputs = int(a.sum() + b.sum())
    if outputs >= NORMAL_OUTPUTS and n_a.size >= NORMAL_PROMPTS:
        return _normal_p(a, b, prompts, n_a, n_b)
    index = np.arange(a.size)
    code = np.concatenate([np.repeat(index, a), np.repeat(index, b)])
    label = np.repeat([0, 1], [int(a.sum()), int(b.sum())])
    weight = np.stack(_weights(n_a, n_b), axis=1)
    draws = min(_DRAWS, _SHUFFLES // max(1, pairs) // outputs)
    return stats.label_permutation(prompts[code], code, label, weight, draws=draws)


def _renumber(prompts: Ints) -> Ints:
    """Ascending numbers without gaps, from 0."""
    return np.cumsum(np.r_[False, prompts[1:] != prompts[:-1]][: prompts.size])


def _weights(n_a: Floats, n_b: Floats) -> tuple[Floats, Floats]:
    """What an equal pair within each setting adds to ``own - across``.

    The equal pairs of a prompt are within a, within b, or across; their sum is fixed, so that one
    more within a setting is one less across.
    """
    across = 1.0 / (n_a * n_b)
    return 1.0 / (n_a * (n_a - 1.0)) + across, 1.0 / (n_b * (n_b - 1.0)) + across


def _normal_p(a: Ints, b: Ints, prompts: Ints, n_a: Floats, n_b: Floats) -> float:
    """The p value by the mean 0 and the variance of the statistic under all ways to deal.

    With c the count of an output in both settings, and x of them dealt to the first, the statistic
    is ``(v + w) sum x(x-1)/2 - w sum c x`` and a constant; v and w are the weights. The moments of
    x are those of the multivariate hypergeometric distribution.
    """
    c = (a + b).astype(np.float64)
    v, w = _weights(n_a, n_b)

    def total(values: Floats) -> Floats:
        return np.bincount(prompts, values).astype(np.float64)

    pairs, triples = c * (c - 1.0), c * (c - 1.0) * (c - 2.0)
    n = n_a + n_b
    r1 = n_a / n
    r2 = r1 * (n_a - 1.0) / (n - 1.0)
    r3 = r2 * (n_a - 2.0) / np.maximum(n - 2.0, 1.0)
    r4 = r3 * (n_a - 3.0) / np.maximum(n - 3.0, 1.0)
    sum_pairs, sum_squares = total(pairs), total(c * c)
    equal_mean, line_mean = r2 * sum_pairs / 2.0, r1 * sum_squares
    equal_square = 0.25 * (
        r4 * (sum_pairs**2 - total(pairs * pairs) + total(triples * (c - 3.0)))
        + 4.0 * r3 * total(triples)
        + 2.0 * r2 * sum_pairs
    )
    product = 0.5 * (
        r3 * (sum_pairs * sum_squares - total(pairs * c * c) + total(triples * c))
        + 2.0 * r2 * total(pairs * c)
    )
    line_square = r2 * (sum_squares**2 - total(c**4) + total(c * c * pairs)) + r1 * total(c**3)
    variance = (
        (v + w) ** 2 * (equal_square - equal_mean**2)
        - 2.0 * (v + w) * w * (product - equal_mean * line_mean)
        + w * w * (line_square - line_mean**2)
    )
    across_pairs = total((a * b).astype(np.float64)) / (n_a * n_b)
    own_a, own_b = total(a * (a - 1.0)), total(b * (b - 1.0))
    own = 0.5 * (own_a / (n_a * (n_a - 1.0)) + own_b / (n_b * (n_b - 1.0)))
    spread = math.sqrt(max(0.0, float(variance.sum())))
    if spread <= 1e-12:
        return 1.0
    z = float((own - across_pairs).sum()) / spread
    return max(0.5 * math.erfc(z / math.sqrt(2.0)), 1.0 / (1.0 + _DRAWS))
