"""The model equality test: the maximum mean discrepancy of outputs, by permutation within prompts.

Source: Gao, Liang and Guestrin, arXiv 2410.20247. Both sides draw a prompt from one list and then
an output; the hypothesis is that the joint distributions are equal. Outputs to different prompts
have kernel 0, so the statistic is the mean over prompts of the unbiased MMD² (Gretton et al., JMLR
13, 2012, equation 3), which with equal repeats is the paper's. Where the distributions are equal,
the outputs of each prompt could have come from either side in any order; they are dealt anew within
prompts, which is exact for any number of prompts and repeats as long as repeats are independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.equality.kernel import PromptKernel

#: Up to so many ways to deal the outputs, all are counted.
ALL_UP_TO = 20_000
DRAWS = 9_999
_MIN_DRAWS = 999
_WORK = 20_000_000_000  # multiplications of a report, shared by its pairs
_VALUES_AT_ONCE = 2_000_000


class PermutationTest(NamedTuple):
    """What dealing the outputs anew says.

    Attributes:
        mmd2: unbiased MMD² of each prompt, in shares of positions; 0 on average where the sides
            are equal, and then below 0 as often as above.
        p: one-sided p of "the outputs of each prompt come from one distribution".
        permutations: ways that were counted or drawn, the observed one among those counted.
        exact: whether all ways were counted.
        smallest_p: that any outputs dealt in these numbers could have.
        critical: the mean of ``mmd2`` above which p is below .05; None where p cannot be.
        spread: standard deviation of that mean over the ways to deal.
    """

    mmd2: Floats
    p: float
    permutations: int
    exact: bool
    smallest_p: float
    critical: float | None
    spread: float


def equality_test(
    prompts: Sequence[PromptKernel], *, seed: int = 0, draws: int = DRAWS, pairs: int = 1
) -> PermutationTest:
    """Test whether two sides give outputs of one distribution.

    Args:
        prompts: at least one, each with two outputs or more on both sides.
        seed: of the permutations.
        draws: how many where not all can be counted; fewer, but at least 999, of many outputs.
        pairs: how many tests share the work of a report.
    """
    mmd2 = np.array([observed_mmd2(prompt) for prompt in prompts])
    varied = [prompt for prompt in prompts if prompt.varies]
    if not varied:
        return PermutationTest(mmd2, 1.0, 1, True, 1.0, None, 0.0)
    log_ways = sum(_log_ways(prompt) for prompt in varied)
    # Swapping the sides of a prompt with equal numbers gives the same MMD².
    log_alike = sum(math.log(2.0) for prompt in varied if prompt.n_a == prompt.n_b)
    exact = log_ways <= math.log(ALL_UP_TO + 0.5)
    if exact:
        sums = _all_sums(varied)
    else:
        work = sum(len(prompt.kernel) ** 2 for prompt in varied) * pairs
        draws = max(min(draws, _MIN_DRAWS), min(draws, _WORK // work))
        sums = _random_sums(varied, np.random.default_rng(seed), draws)
    # Rounding must not make equal sums differ.
    slack = 1e-9 * len(varied)
    large = int((sums >= float(mmd2.sum()) - slack).sum())
    smallest = math.exp(log_alike - log_ways)
    if not exact:
        smallest = max(smallest, 1.0 / (1.0 + sums.size))
    return PermutationTest(
        mmd2=mmd2,
        p=large / sums.size if exact else (1.0 + large) / (1.0 + sums.size),
        permutations=int(sums.size),
        exact=exact,
        smallest_p=smallest,
        critical=_critical(sums, slack) / len(prompts) if smallest < stats.ALPHA else None,
        spread=float(sums.std()) / len(prompts),
    )


def _critical(sums: Floats, slack: float) -> float:
    """The sum that is exceeded in fewer than 5 % of the ways to deal."""
    return float(np.quantile(sums, 1.0 - stats.ALPHA, method="higher")) + slack


def _log_ways(prompt: PromptKernel) -> float:
    n, n_a = len(prompt.kernel), prompt.n_a
    return math.lgamma(n + 1) - math.lgamma(n_a + 1) - math.lgamma(n - n_a + 1)


def observed_mmd2(prompt: PromptKernel) -> float:
    """The unbiased MMD² of a prompt as it was observed."""
    is_a = np.arange(len(prompt.kernel)) < prompt.n_a
    return float(mmd2_of(prompt, is_a[None, :].astype(np.float64))[0])


def mmd2_of(prompt: PromptKernel, is_a: Floats) -> Floats:
    """The unbiased MMD² for each way to deal the outputs.

    Args:
        prompt: the kernel.
        is_a: ways × outputs, 1 of an output dealt to the first side and 0 of one to the second;
            each way deals as many as were observed.
    """
    kernel = prompt.kernel.copy()
    np.fill_diagonal(kernel, 0.0)
    lines = kernel.sum(axis=1)
    within_a = ((is_a @ kernel) * is_a).sum(axis=1)
    of_a = is_a @ lines
    across = of_a - within_a
    within_b = lines.sum() - of_a - across
    n, m = prompt.n_a, prompt.n_b
    return within_a / (n * (n - 1)) + within_b / (m * (m - 1)) - 2.0 * across / (n * m)


def _all_sums(prompts: Sequence[PromptKernel]) -> Floats:
    """The sum of MMD² over prompts for every way to deal the outputs of all of them."""
    sums = np.zeros(1)
    for prompt in prompts:
        chosen = np.array([*combinations(range(len(prompt.kernel)), prompt.n_a)])
        is_a = np.zeros((len(chosen), len(prompt.kernel)))
        np.put_along_axis(is_a, chosen, 1.0, axis=1)
        sums = (sums[:, None] + mmd2_of(prompt, is_a)).ravel()
    return sums


def _random_sums(prompts: Sequence[PromptKernel], rng: np.random.Generator, draws: int) -> Floats:
    """The sum of MMD² over prompts for random ways to deal the outputs of each."""
    sums = np.zeros(draws)
    for prompt in prompts:
        n, n_a = len(prompt.kernel), prompt.n_a
        block = max(1, _VALUES_AT_ONCE // n)
        for start in range(0, draws, block):
            keys = rng.random((min(block, draws - start), n))
            last = np.partition(keys, n_a - 1, axis=1)[:, n_a - 1 : n_a]
            sums[start : start + block] += mmd2_of(prompt, (keys <= last).astype(np.float64))
    return sums
