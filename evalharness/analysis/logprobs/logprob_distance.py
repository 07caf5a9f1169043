"""How far the log probabilities of two settings, runs, providers or dates are apart, beyond noise.

Two outputs of one setting differ by the noise of the server (its kernels, its batches). Two of
different settings differ by that, and by whatever else tells them apart; the test deals the outputs
of each prompt anew to the two sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
from evalharness.analysis.equality.kernel import PromptKernel
from evalharness.analysis.equality.outputs import SideRows
from evalharness.analysis.equality.permutation_test import equality_test
from evalharness.analysis.logprobs.figures import (
    LogprobFigures,
    PromptDistance,
    distance_matrix,
    logprob_figures,
)
from evalharness.analysis.logprobs.pair_distance import PairDistance, pair_distance
from evalharness.analysis.logprobs.token_output import TokenOutput, has_logprobs, read_outputs

#: Prompts of a pair that are compared; of more, so many are drawn with a fixed seed.
MAX_PROMPTS = 500
#: Repeats of a prompt that are compared on each side, the first ones.
MAX_REPEATS = 8
_HOLM_UP_TO = 20

DistanceVerdict = Literal["differs", "not detected", "identical", "not tested", "not measurable"]


class LogprobDistance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log probabilities of two settings are apart.

    Attributes:
        a, b: their setting ids.
        a_label, b_label: their labels.
        a_run, b_run: their runs; null where a single run is read.
        own_a, own_b: of two outputs of one side: the noise; null without two that compare.
        across: of an output of one side and one of the other; null where nothing compares.
        excess: mean absolute difference across, less the mean of that within the two sides, over
            ``tested_prompts``; null where a side has single outputs.
        excess_ci95: its interval over prompts, or clusters.
        p: one-sided p of "the outputs to each prompt could have come from either side", by dealing
            them anew within prompts.
        p_adjusted: p adjusted over all pairs (Holm up to 20 of them, else Benjamini-Hochberg).
        smallest_p: the smallest p that so many outputs can have.
        tested_prompts: prompts with two outputs or more on both sides, every two of which compare.
        verdict: ``differs`` (p_adjusted below .05), ``not detected``, ``identical`` (every compared
            log probability is equal in every bit), ``not tested``, ``not measurable``.
        reason: why it is not tested or not measurable; null elsewhere.
    """

    a: str
    b: str
    a_label: str
    b_label: str
    a_run: str | None
    b_run: str | None
    own_a: LogprobFigures | None = None
    own_b: LogprobFigures | None = None
    across: LogprobFigures | None = None
    excess: float | None = None
    excess_ci95: list[float] | None = None
    p: float | None = None
    p_adjusted: float | None = None
    smallest_p: float | None = None
    tested_prompts: int = 0
    verdict: DistanceVerdict = "not measurable"
    reason: str | None = None


class _Prompt(NamedTuple):
    """Every two outputs to a prompt, those of side ``a`` first; None where they do not compare."""

    number: int
    distances: list[list[PairDistance | None]]
    n_a: int

    def pairs(self, rows: range, columns: range) -> PromptDistance:
        """The pairs of two parts of the outputs, each once."""
        chosen = [self.distances[r][c] for r in rows for c in columns if rows != columns or r < c]
        return PromptDistance(self.number, [pair for pair in chosen if pair is not None])


class _Measured(NamedTuple):
    """A row without interval and adjusted p, and the excess of each tested prompt."""

    row: LogprobDistance
    prompts: Ints
    excess: Floats


def logprob_distance(
    joined: JoinedRuns,
    pairs: Sequence[tuple[SettingColumn, SettingColumn]],
    *,
    seed: int = 0,
) -> list[LogprobDistance]:
    """Compare each pair of settings.

    Args:
        joined: the runs.
        pairs: the settings, side ``a`` first.
        seed: of the permutations.
    """
    measured = [_measure(joined, pair, seed, len(pairs)) for pair in pairs]
    flips = stats.SignFlips(clusters=joined.clusters)
    for each in measured:
        column = np.full(len(joined.prompt_ids), np.nan)
        column[each.prompts] = each.excess
        flips.add(column, bounded=False, p=each.row.p)
    tests = flips.tests()
    raw = np.array([np.nan if m.row.p is None else m.row.p for m in measured], np.float64)
    adjust = stats.holm if len(measured) <= _HOLM_UP_TO else stats.benjamini_hochberg
    adjusted = adjust(raw)[0]
    return [
        _finish(each.row, tests.interval(index), json_values.number(adjusted[index]))
        for index, each in enumerate(measured)
    ]


def _finish(
    row: LogprobDistance, ends: tuple[float, float] | None, p_adjusted: float | None
) -> LogprobDistance:
    verdict = row.verdict
    if verdict == "not detected" and p_adjusted is not None and p_adjusted < stats.ALPHA:
        verdict = "differs"
    interval = None if row.excess is None else json_values.interval(ends)
    return structs.replace(row, excess_ci95=interval, p_adjusted=p_adjusted, verdict=verdict)


def _measure(
    joined: JoinedRuns, pair: tuple[SettingColumn, SettingColumn], seed: int, pairs: int
) -> _Measured:
    several = len(joined.frames) > 1
    row = LogprobDistance(
        a=pair[0].setting_id,
        b=pair[1].setting_id,
        a_label=pair[0].label,
        b_label=pair[1].label,
        a_run=pair[0].run if several else None,
        b_run=pair[1].run if several else None,
    )
    a, b = (SideRows.of(joined, column) for column in pair)
    for side, column in ((a, pair[0]), (b, pair[1])):
        if not has_logprobs(side.frame):
            name = column.run or column.label
            return _untested(row, f"{name} has no log probabilities (params.logprobs=true)")
    prompts = list(_compare(a, b, len(joined.prompt_ids)))
    if not prompts:
        return _untested(
            row, "no prompt has log probabilities on both sides (params.logprobs=true)"
        )
    row = _with_figures(row, prompts, len(joined.prompt_ids), joined.clusters)
    if row.across is None or not row.across.compared:
        return _untested(row, "no token was named by both sides at an equal prefix")
    return _test(row, prompts, seed, pairs)


def _untested(row: LogprobDistance, reason: str) -> _Measured:
    return _Measured(structs.replace(row, reason=reason), np.zeros(0, np.int64), np.zeros(0))


def _compare(a: SideRows, b: SideRows, total: int) -> Iterator[_Prompt]:
    """Every two outputs of the prompts that both sides have outputs with log probabilities of."""
    shared = np.flatnonzero((a.repeats(total) > 0) & (b.repeats(total) > 0))
    if shared.size > MAX_PROMPTS:
        shared = np.sort(np.random.default_rng(0).choice(shared, MAX_PROMPTS, replace=False))
    for prompt in shared.tolist():
        sides = [
            [o for o in read_outputs(s.frame, s.rows_of(prompt)[:MAX_REPEATS]) if o is not None]
            for s in (a, b)
        ]
        if all(sides):
            yield _Prompt(prompt, _distances([*sides[0], *sides[1]]), len(sides[0]))


def _distances(outputs: Sequence[TokenOutput]) -> list[list[PairDistance | None]]:
    count = len(outputs)
    distances: list[list[PairDistance | None]] = [[None] * count for _ in range(count)]
    for row in range(count):
        for column in range(row):
            pair = pair_distance(outputs[column], outputs[row])
            distances[row][column] = distances[column][row] = pair
    return distances


def _with_figures(
    row: LogprobDistance, prompts: Sequence[_Prompt], total: int, clusters: Ints | None
) -> LogprobDistance:
    own_a, own_b, across = (
        logprob_figures([each for each in chosen if each.pairs], total, clusters)
        for chosen in (
            [p.pairs(range(p.n_a), range(p.n_a)) for p in prompts],
            [p.pairs(*(range(p.n_a, len(p.distances)),) * 2) for p in prompts],
            [p.pairs(range(p.n_a), range(p.n_a, len(p.distances))) for p in prompts],
        )
    )
    return structs.replace(
        row,
        own_a=own_a if own_a.prompts else None,
        own_b=own_b if own_b.prompts else None,
        across=across if across.prompts else None,
    )


def _test(row: LogprobDistance, prompts: Sequence[_Prompt], seed: int, pairs: int) -> _Measured:
    """Whether outputs of different sides are further apart than those of one."""
    kernels: list[PromptKernel] = []
    numbers: list[int] = []
    for prompt in prompts:
        matrix = distance_matrix(prompt.distances)
        if matrix is not None and min(prompt.n_a, len(matrix) - prompt.n_a) >= 2:
            kernels.append(PromptKernel(1.0 - matrix, prompt.n_a))
            numbers.append(prompt.number)
    same = all(f is None or f.largest == 0.0 for f in (row.own_a, row.own_b, row.across))
    verdict: DistanceVerdict = "identical" if same else "not tested"
    if not kernels:
        reason = None if same else "no prompt has two outputs that compare on both sides: repeats=2"
        row = structs.replace(row, verdict=verdict, reason=reason)
        return _Measured(row, np.zeros(0, np.int64), np.zeros(0))
    test = equality_test(kernels, seed=seed, pairs=pairs)
    reason = None
    if not same and test.smallest_p >= stats.ALPHA:
        reason = f"with so few outputs no p is below {test.smallest_p:.2g}: more prompts or repeats"
    elif not same:
        verdict = "not detected"
    excess = test.mmd2 / 2.0
    row = structs.replace(
        row,
        excess=float(excess.mean()),
        p=test.p,
        smallest_p=test.smallest_p,
        tested_prompts=len(kernels),
        verdict=verdict,
        reason=reason,
    )
    return _Measured(row, np.array(numbers, np.int64), excess)
