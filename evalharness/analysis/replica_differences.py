"""Which of several servers behind one name are slower than others.

Intervals of medians are compared, as everywhere over prompts or stretches of time. Their level
takes the number of pairs into account (Bonferroni), and two intervals that do not overlap are
stricter than a test of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.load.summary import DependentGroups

FALSE_ALARMS = 0.05  # of runs whose servers are all alike, at most


class ReplicaDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The two servers of a load point whose median latencies are furthest apart.

    Attributes:
        point: as of :class:`ReplicaFigures`.
        faster, slower: their addresses.
        faster_p50_s, slower_p50_s: their median latencies, seconds.
    """

    point: str | None
    faster: str
    slower: str
    faster_p50_s: float
    slower_p50_s: float


class ComparedAnswers(NamedTuple):
    """The latencies of a server's answers, seconds, and what groups they are in."""

    latency_s: Floats
    groups: DependentGroups


def replica_differences(
    answers: Sequence[tuple[str | None, dict[str, ComparedAnswers]]],
) -> tuple[list[ReplicaDifference], int]:
    """The servers furthest apart at each point where some two differ, and the pairs compared.

    Args:
        answers: label, and answers by server, of each point.
    """
    comparisons = sum(len(each) * (len(each) - 1) // 2 for _, each in answers)
    level = 1.0 - FALSE_ALARMS / max(1, comparisons)
    differences = [_difference(label, by_name, level) for label, by_name in answers]
    return [each for each in differences if each is not None], comparisons


def _difference(
    label: str | None, answers: dict[str, ComparedAnswers], level: float
) -> ReplicaDifference | None:
    medians = {name: median for name, each in answers.items() if (median := _median(each, level))}
    apart = [
        (fast, slow)
        for pair in combinations(medians, 2)
        for fast, slow in [sorted(pair, key=lambda name: medians[name].value)]
        if (high := medians[fast].high) is not None
        and (low := medians[slow].low) is not None
        and high < low
    ]
    if not apart:
        return None
    fast, slow = max(apart, key=lambda pair: medians[pair[1]].value / medians[pair[0]].value)
    return ReplicaDifference(
        point=label,
        faster=fast,
        slower=slow,
        faster_p50_s=medians[fast].value,
        slower_p50_s=medians[slow].value,
    )


def _median(answers: ComparedAnswers, level: float) -> stats.Quantile | None:
    known = ~np.isnan(answers.latency_s)
    medians: list[stats.Quantile] = []
    for codes in (answers.groups.prompt, answers.groups.time):
        assert codes is not None
        some: Ints = codes[known]
        if len(some):
            medians += stats.quantiles(
                answers.latency_s[known], some, int(some.max()) + 1, [0.5], level=level
            )
    return min(medians, key=lambda median: median.effective_n, default=None)
