"""What the model equality test would find, and the prompts and repeats that it takes.

The difference is one of mixture: a share s of one side's outputs comes from elsewhere, and agrees
with the others no more than outputs to other prompts do. With κ the agreement of two outputs to a
prompt, and b that of outputs to different prompts, its MMD² is s²(κ - b).

The agreement of two outputs is κ, a part g of each of them, and a rest h of both. With an output's
chance of being from elsewhere, the variances of these parts follow (Hoeffding's decomposition), and
from them the variance of the estimate, as of any U-statistic (Gretton et al., JMLR 13, 2012,
corollary 16). Dealing the outputs anew mixes both sides, so outputs from elsewhere widen what is
expected without a difference, too. Sums over prompts are taken as normal;
``benchmarks/calibration_equality.py`` says how far that holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.stats.distribution_functions import normal_quantile
from evalharness.analysis.stats.power import POWER

#: Outputs of a prompt from which the spread of the kernel can be estimated.
MIN_OUTPUTS = 4
MAX_PROMPTS = 100_000
_SHARES = np.linspace(0.001, 1.0, 1_000)


class UnrelatedOutputs(NamedTuple):
    """The agreement of outputs to different prompts: its mean, and its variance between pairs."""

    agreement: float
    variance: float


class KernelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How much outputs to one prompt agree, means over prompts, in shares of positions.

    Attributes:
        agreement: of two outputs to a prompt.
        unrelated: of outputs to different prompts.
        contrast_square: mean square, over prompts, of the first less the second.
        unrelated_variance: variance of that agreement.
        kernel_variance: variance of the agreement of two outputs that neither explains alone.
        line_variance: variance, between outputs, of the mean agreement with the others.
    """

    agreement: float
    unrelated: float
    contrast_square: float
    unrelated_variance: float
    kernel_variance: float
    line_variance: float

    @property
    def contrast(self) -> float:
        """How much more outputs to one prompt agree than outputs to different ones."""
        return self.agreement - self.unrelated


def kernel_figures(kernels: Sequence[Floats], unrelated: UnrelatedOutputs) -> KernelFigures | None:
    """The figures of prompts with four outputs or more; None without any.

    Args:
        kernels: of the outputs of one side, or of sides that are equal, outputs × outputs.
        unrelated: the agreement of outputs to different prompts.
    """
    parts = [_figures_of(kernel) for kernel in kernels if len(kernel) >= MIN_OUTPUTS]
    if not parts:
        return None
    agreement, variance, lines = np.mean(parts, axis=0)
    contrasts = np.array([part[0] for part in parts]) - unrelated.agreement
    return KernelFigures(
        agreement=float(agreement),
        unrelated=unrelated.agreement,
        unrelated_variance=unrelated.variance,
        contrast_square=float((contrasts**2).mean()),
        kernel_variance=max(0.0, float(variance)),
        line_variance=max(0.0, float(lines)),
    )


def _figures_of(kernel: Floats) -> tuple[float, float, float]:
    """Agreement, variance of the U-centred kernel (Székely and Rizzo, Ann. Stat. 42, 2014), lines.

    The variance of lines is the covariance of two pairs that share an output.
    """
    n = len(kernel)
    own = kernel.copy()
    np.fill_diagonal(own, 0.0)
    lines, total = own.sum(axis=1), float(own.sum())
    agreement = total / (n * (n - 1))
    centred = own - (lines[:, None] + lines[None, :]) / (n - 2) + total / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0.0)
    variance = float((centred**2).sum()) / (n * (n - 3))
    squares = float((own**2).sum())
    triples = float((lines**2).sum()) - squares
    shared = triples / (n * (n - 1) * (n - 2))
    # Pairs that share nothing: all products of pairs less those that share one output, or both.
    apart = total**2 - 4.0 * triples - 2.0 * squares
    apart /= n * (n - 1) * (n - 2) * (n - 3)
    return agreement, variance, shared - apart


def dealt_variance(figures: KernelFigures, share: float, n: float, m: float) -> float:
    """Variance of the MMD² of a prompt over the ways to deal n and m outputs anew.

    Args:
        figures: how much outputs agree.
        share: of the m outputs, from elsewhere.
        n, m: outputs of both sides.
    """
    return _pair_variance(figures, share * m / (n + m)) * (
        2.0 / (n * (n - 1.0)) + 2.0 / (m * (m - 1.0)) + 4.0 / (n * m)
    )


def _pair_variance(figures: KernelFigures, elsewhere: float) -> float:
    """Variance of the rest h where each of two outputs may be from elsewhere."""
    own = (1.0 - elsewhere) ** 2
    related = (
        figures.kernel_variance
        + 2.0 * elsewhere * figures.line_variance
        + elsewhere**2 * figures.contrast_square
    )
    return own * related + (1.0 - own) * figures.unrelated_variance


def estimate_variance(figures: KernelFigures, share: float, n: float, m: float) -> float:
    """Variance of the MMD² of a prompt; arguments as of :func:`dealt_variance`."""
    rest = 1.0 - share
    related = figures.kernel_variance + share * figures.line_variance
    across = rest * related + share * figures.unrelated_variance
    pairs = (
        2.0 * _pair_variance(figures, 0.0) / (n * (n - 1.0))
        + 2.0 * _pair_variance(figures, share) / (m * (m - 1.0))
        + 4.0 * across / (n * m)
    )
    drawn = share * rest * figures.contrast_square / m
    lines = figures.line_variance * (1.0 / n + rest / m)
    return pairs + 4.0 * share**2 * (drawn + lines)


def detectable_share(
    figures: KernelFigures, critical: float, spread: float, sizes: Sequence[tuple[int, int]]
) -> float | None:
    """The smallest share from elsewhere that is found in 80 % of such runs; None where none is.

    Args:
        figures: of these runs.
        critical: the mean MMD² above which p is below .05.
        spread: its standard deviation over the ways to deal the outputs.
        sizes: outputs of each prompt on both sides; the smaller side is the one that differs.
    """
    if spread <= 0.0:
        return None
    count = len(sizes)
    n = count / sum(1.0 / max(size) for size in sizes)
    m = count / sum(1.0 / min(size) for size in sizes)
    none_dealt = dealt_variance(figures, 0.0, n, m)
    for share in _SHARES.tolist():
        dealt = spread**2 + (dealt_variance(figures, share, n, m) - none_dealt) / count
        needed = critical / spread * math.sqrt(max(0.0, dealt))
        end = normal_quantile(POWER) * math.sqrt(estimate_variance(figures, share, n, m) / count)
        if share**2 * figures.contrast >= needed + end:
            return share
    return None


def detectable_mmd2(critical: float, spread: float) -> float:
    """The MMD² that is found in 80 % of such runs, its estimate spreading as without a difference.

    Args:
        critical, spread: as of :func:`detectable_share`.
    """
    return critical + normal_quantile(POWER) * spread


def prompts_needed(figures: KernelFigures, share: float, repeats: int) -> int | None:
    """Prompts at which the test finds a share from elsewhere in 80 % of runs; None beyond 100,000.

    Args:
        figures: how much outputs agree.
        share: of one side's outputs, above 0 and at most 1.
        repeats: of each prompt on each side, at least 2.
    """
    effect = share**2 * figures.contrast
    if effect <= 0.0:
        return None
    dealt = math.sqrt(dealt_variance(figures, share, repeats, repeats))
    spread = math.sqrt(estimate_variance(figures, share, repeats, repeats))
    ends = normal_quantile(1.0 - stats.ALPHA) * dealt + normal_quantile(POWER) * spread
    # Fewer prompts have too few ways to be dealt for any p below .05.
    ways = math.comb(2 * repeats, repeats) / 2.0
    fewest = math.floor(math.log(1.0 / stats.ALPHA) / math.log(ways)) + 1
    needed = max(fewest, math.ceil((ends / effect) ** 2))
    return needed if needed <= MAX_PROMPTS else None
