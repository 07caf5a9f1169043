"""Model equality of two settings, runs, providers or dates: do both draw from one distribution?

A test never shows that two models are equal. Beside "no difference detected" stands what would have
been found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
from evalharness.analysis.equality.kernel import Unit
from evalharness.analysis.equality.outputs import (
    Kernels,
    OutputsOfBoth,
    SideRows,
    chosen_prompts,
    kernels_of,
    outputs_of,
)
from evalharness.analysis.equality.permutation_test import PermutationTest, equality_test
from evalharness.analysis.equality.power import (
    KernelFigures,
    detectable_mmd2,
    detectable_share,
    kernel_figures,
)
from evalharness.analysis.stats.power import POWER

HOLM_UP_TO = 20

Verdict = Literal["differs", "not detected", "identical", "not measurable"]


class ModelEquality(msgspec.Struct, frozen=True, kw_only=True):
    """The model equality test of two settings (Gao, Liang and Guestrin, arXiv 2410.20247).

    Agreement is the share of positions at which two outputs are equal, after the shorter one was
    padded; prompts have equal weights. Shares are in [0, 1].

    Attributes:
        a, b: their setting ids.
        a_label, b_label: their labels.
        a_run, b_run: their runs; null where a single run is read.
        unit: what has a position: ``character``, ``word`` or ``token``.
        length: positions that were compared; null where nothing was.
        cut: outputs that are longer.
        prompts: prompts with two outputs or more on both sides that were compared.
        prompts_left_out: prompts that one side has fewer than two outputs of, or that were left
            out of a sample.
        outputs_a, outputs_b: outputs compared.
        empty_a, empty_b: these that are empty.
        own_a, own_b: agreement of two outputs of one side to a prompt; null where nothing was
            compared, like all figures below.
        across: agreement of an output of one side and one of the other.
        mmd2: ``own_a + own_b - 2 across``, the unbiased squared maximum mean discrepancy: 0 on
            average of equal distributions, and then as often negative as positive.
        mmd2_ci95: its interval over prompts, or clusters; null where it is undefined.
        p: one-sided p of "the outputs to each prompt come from one distribution", by dealing them
            anew within prompts.
        p_adjusted: p adjusted over all pairs (Holm up to 20 of them, else Benjamini-Hochberg).
        permutations: ways to deal them that were counted or drawn.
        exact: whether these are all.
        smallest_p: the smallest p that so many outputs can have.
        detectable_mmd2: MMD² that the test would find in 80 % of such runs; null where p cannot be
            below .05.
        detectable_share: share of one side's outputs that, were they as unlike as outputs to other
            prompts, the test would find in 80 % of such runs; null where outputs to other prompts
            are too much alike for it to find any.
        power: the 0.8 of these two.
        differing_below: of outputs that are all the same to each prompt, the share of prompts
            below which others would be (95 %, one-sided); null elsewhere.
        verdict: ``differs`` (p_adjusted below .05), ``not detected``, ``identical`` (no two
            outputs to a prompt differ), ``not measurable``.
        reason: why it is not measurable; null elsewhere.
    """

    a: str
    b: str
    a_label: str
    b_label: str
    a_run: str | None
    b_run: str | None
    unit: Unit
    length: int | None = None
    cut: int = 0
    prompts: int = 0
    prompts_left_out: int = 0
    outputs_a: int = 0
    outputs_b: int = 0
    empty_a: int = 0
    empty_b: int = 0
    own_a: float | None = None
    own_b: float | None = None
    across: float | None = None
    mmd2: float | None = None
    mmd2_ci95: list[float] | None = None
    p: float | None = None
    p_adjusted: float | None = None
    permutations: int = 0
    exact: bool = False
    smallest_p: float | None = None
    detectable_mmd2: float | None = None
    detectable_share: float | None = None
    power: float = POWER
    differing_below: float | None = None
    verdict: Verdict = "not measurable"
    reason: str | None = None


class _Measured(NamedTuple):
    """A row without interval and adjusted p; the joined prompts, and the MMD² of each."""

    row: ModelEquality
    prompts: Ints
    mmd2: Floats


def model_equality(
    joined: JoinedRuns,
    pairs: Sequence[tuple[SettingColumn, SettingColumn]],
    *,
    unit: Unit = "character",
    seed: int = 0,
) -> list[ModelEquality]:
    """Test each pair of settings.

    Args:
        joined: the runs.
        pairs: the settings, side ``a`` first.
        unit: what has a position in an output; tokens are those of log probabilities.
        seed: of the permutations.
    """
    measured = [_measure(joined, pair, unit, seed, len(pairs)) for pair in pairs]
    flips = stats.SignFlips(clusters=joined.clusters)
    for each in measured:
        halves = np.full(len(joined.prompt_ids), np.nan)
        halves[each.prompts] = each.mmd2 / 2.0  # a difference of shares
        flips.add(halves, p=each.row.p)
    tests = flips.tests()
    raw = np.array([np.nan if m.row.p is None else m.row.p for m in measured], np.float64)
    adjust = stats.holm if len(measured) <= HOLM_UP_TO else stats.benjamini_hochberg
    adjusted = adjust(raw)[0]
    return [
        _finish(each.row, tests.interval(index), json_values.number(adjusted[index]))
        for index, each in enumerate(measured)
    ]


def _finish(
    row: ModelEquality, halves: tuple[float, float] | None, p_adjusted: float | None
) -> ModelEquality:
    verdict = row.verdict
    if verdict == "not detected" and p_adjusted is not None and p_adjusted < stats.ALPHA:
        verdict = "differs"
    ends = None if halves is None or verdict == "identical" else (2 * halves[0], 2 * halves[1])
    interval = json_values.interval(ends)
    return structs.replace(row, mmd2_ci95=interval, p_adjusted=p_adjusted, verdict=verdict)


def _measure(
    joined: JoinedRuns,
    pair: tuple[SettingColumn, SettingColumn],
    unit: Unit,
    seed: int,
    pairs: int,
) -> _Measured:
    a, b = (SideRows.of(joined, column) for column in pair)
    n_a, n_b = (side.repeats(len(joined.prompt_ids)) for side in (a, b))
    shared = np.flatnonzero((n_a > 0) & (n_b > 0))
    enough = np.flatnonzero((n_a >= 2) & (n_b >= 2))
    several = len(joined.frames) > 1
    row = ModelEquality(
        a=pair[0].setting_id,
        b=pair[1].setting_id,
        a_label=pair[0].label,
        b_label=pair[1].label,
        a_run=pair[0].run if several else None,
        b_run=pair[1].run if several else None,
        unit=unit,
        prompts_left_out=len(shared),
    )
    if not enough.size:
        reason = "no prompt has a known output in both"
        if shared.size:
            reason = "no prompt has two outputs in both: that needs repeats=2 or more"
        return _not_measurable(row, reason)
    prompts = chosen_prompts(enough)
    read = list(outputs_of(a, b, prompts, unit))
    known = np.array([outputs is not None for outputs in read])
    outputs = [each for each in read if each is not None]
    if not outputs:
        return _not_measurable(row, "no prompt has log probabilities, which name the tokens")
    prompts = prompts[known]
    row = _with_counts(row, outputs, len(shared))
    for empty, total, label in (
        (row.empty_a, row.outputs_a, row.a_label),
        (row.empty_b, row.outputs_b, row.b_label),
    ):
        if empty == total:
            return _not_measurable(row, f"every output of {label} is empty")
    kernels = kernels_of(outputs)
    test = equality_test(kernels.prompts, seed=seed, pairs=pairs)
    return _Measured(_with_test(row, kernels, test), prompts, test.mmd2)


def _not_measurable(row: ModelEquality, reason: str) -> _Measured:
    row = structs.replace(row, reason=reason)
    return _Measured(row, np.zeros(0, np.int64), np.zeros(0))


def _with_counts(
    row: ModelEquality, outputs: Sequence[OutputsOfBoth], shared: int
) -> ModelEquality:
    a = [output for each in outputs for output in each.a]
    b = [output for each in outputs for output in each.b]
    return structs.replace(
        row,
        prompts=len(outputs),
        prompts_left_out=shared - len(outputs),
        outputs_a=len(a),
        outputs_b=len(b),
        empty_a=sum(not output for output in a),
        empty_b=sum(not output for output in b),
    )


def _with_test(row: ModelEquality, kernels: Kernels, test: PermutationTest) -> ModelEquality:
    own_a, own_b, across = _agreement(kernels)
    identical = not any(prompt.varies for prompt in kernels.prompts)
    reason = None
    if not identical and test.smallest_p >= stats.ALPHA:
        reason = (
            f"with {len(kernels.prompts)} × {kernels.prompts[0].n_a} and "
            f"{kernels.prompts[0].n_b} outputs no p is below {test.smallest_p:.2g}: that needs "
            "more prompts whose outputs vary, or more repeats"
        )
    verdict: Verdict = "identical" if identical else "not measurable" if reason else "not detected"
    figures = _figures(kernels)
    share = mmd2 = None
    if test.critical is not None:
        mmd2 = detectable_mmd2(test.critical, test.spread)
    if figures is not None and test.critical is not None:
        sizes = [(prompt.n_a, prompt.n_b) for prompt in kernels.prompts]
        share = detectable_share(figures, test.critical, test.spread, sizes)
    if figures is not None and share is not None:
        mmd2 = share**2 * figures.contrast
    return structs.replace(
        row,
        length=kernels.length,
        cut=kernels.cut,
        own_a=own_a,
        own_b=own_b,
        across=across,
        mmd2=float(test.mmd2.mean()),
        p=test.p,
        permutations=test.permutations,
        exact=test.exact,
        smallest_p=test.smallest_p,
        detectable_mmd2=mmd2,
        detectable_share=share,
        differing_below=stats.divergence_bound(len(kernels.prompts)) if identical else None,
        verdict=verdict,
        reason=reason,
    )


def _agreement(kernels: Kernels) -> tuple[float, float, float]:
    """Agreement within the first side, within the second, and across, means over prompts."""
    sums = np.zeros(3)
    for prompt in kernels.prompts:
        n, m = prompt.n_a, prompt.n_b
        first, second = prompt.kernel[:n, :n], prompt.kernel[n:, n:]
        sums += (
            (first.sum() - n) / (n * (n - 1)),
            (second.sum() - m) / (m * (m - 1)),
            prompt.kernel[:n, n:].mean(),
        )
    own_a, own_b, across = (sums / len(kernels.prompts)).tolist()
    return own_a, own_b, across


def _figures(kernels: Kernels) -> KernelFigures | None:
    """How much the outputs of a side agree; of both together where a side has too few."""
    if kernels.unrelated is None:
        return None
    sides = [p.kernel[: p.n_a, : p.n_a] for p in kernels.prompts]
    sides += [p.kernel[p.n_a :, p.n_a :] for p in kernels.prompts]
    own = kernel_figures(sides, kernels.unrelated)
    if own is not None:
        return own
    return kernel_figures([prompt.kernel for prompt in kernels.prompts], kernels.unrelated)
