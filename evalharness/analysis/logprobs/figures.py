"""Distances of pairs of outputs, as figures over prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.prefix_length import PrefixLength, prefix_lengths
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.logprobs.pair_distance import PairDistance


class LogprobFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How far log probabilities are apart at equal prefixes, in means over prompts.

    Natural logarithms. Null where nothing was compared.

    Attributes:
        prompts: prompts with a pair of outputs that compares.
        pairs: pairs of outputs.
        compared: log probabilities that were compared.
        mean: mean absolute difference.
        mean_ci95: its interval over prompts, or clusters.
        largest: the largest absolute difference of all.
        largest_median: the median over prompts of the largest of each.
        largest_median_ci95: its interval; null where the prompts are too few to bound it.
        equal: share of the compared log probabilities that are equal in every bit.
        equal_ci95: its interval.
        kl: mean Kullback-Leibler divergence of the next token in nats, of both directions, from the
            candidates that are listed: a lower bound; null where none are.
        kl_ci95: its interval.
        kl_places: places it was computed at.
        top_differs: where the likeliest tokens differ, over the prompts on which they ever do:
            tokens in common before the first such place; null where no candidates are listed.
    """

    prompts: int
    pairs: int
    compared: int
    mean: float | None = None
    mean_ci95: list[float] | None = None
    largest: float | None = None
    largest_median: float | None = None
    largest_median_ci95: list[float] | None = None
    equal: float | None = None
    equal_ci95: list[float] | None = None
    kl: float | None = None
    kl_ci95: list[float] | None = None
    kl_places: int = 0
    top_differs: PrefixLength | None = None


class PromptDistance(NamedTuple):
    """The pairs of outputs to one prompt that compare: its number, and their distances."""

    prompt: int
    pairs: list[PairDistance]


def logprob_figures(
    prompts: Sequence[PromptDistance], total: int, clusters: Ints | None
) -> LogprobFigures:
    """Describe pairs of outputs.

    Args:
        prompts: those that were compared.
        total: how many prompts there are.
        clusters: one number a prompt; None where each is a unit.
    """
    known = [each for each in prompts if any(p.differences.size for p in each.pairs)]
    if not known:
        return LogprobFigures(prompts=0, pairs=0, compared=0)
    columns = {name: np.full(total, np.nan) for name in ("mean", "equal", "kl", "largest")}
    for prompt, pairs in known:
        differences = [p.differences for p in pairs if p.differences.size]
        columns["mean"][prompt] = _mean([float(d.mean()) for d in differences])
        columns["equal"][prompt] = _mean([float((d == 0.0).mean()) for d in differences])
        columns["largest"][prompt] = max(float(d.max()) for d in differences)
        if kl := [p.kl for p in pairs if p.kl is not None]:
            columns["kl"][prompt] = _mean(kl)
    largest = columns["largest"][~np.isnan(columns["largest"])]
    (median,) = stats.quantiles(largest, np.arange(largest.size), largest.size, (0.5,))
    every = [pair for each in known for pair in each.pairs]
    return LogprobFigures(
        prompts=len(known),
        pairs=sum(bool(pair.differences.size) for pair in every),
        compared=sum(pair.differences.size for pair in every),
        mean=json_values.mean(columns["mean"]),
        mean_ci95=json_values.amount_interval(columns["mean"], clusters),
        largest=float(largest.max()),
        largest_median=median.value,
        largest_median_ci95=None if median.ends is None else list(median.ends),
        equal=json_values.mean(columns["equal"]),
        equal_ci95=json_values.share_interval(columns["equal"], clusters),
        kl=json_values.mean(columns["kl"]),
        kl_ci95=json_values.amount_interval(columns["kl"], clusters),
        kl_places=sum(pair.kl_places for pair in every),
        top_differs=_top_differs(known),
    )


def _top_differs(prompts: Sequence[PromptDistance]) -> PrefixLength | None:
    if not any(pair.kl_places for each in prompts for pair in each.pairs):
        return None
    lengths = [
        (pair.top_prefix, each.prompt)
        for each in prompts
        for pair in each.pairs
        if pair.top_prefix is not None
    ]
    table = np.array(lengths, np.int64).reshape(-1, 2)
    return prefix_lengths(table[:, 0], table[:, 1])


def distance_matrix(distances: Sequence[Sequence[PairDistance | None]]) -> Floats | None:
    """The mean absolute differences of every two outputs; None where two do not compare."""
    matrix = np.zeros((len(distances), len(distances)))
    for row, line in enumerate(distances):
        for column, pair in enumerate(line):
            if row == column:
                continue
            if pair is None or not pair.differences.size:
                return None
            matrix[row, column] = float(pair.differences.mean())
    return matrix


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
