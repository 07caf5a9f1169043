"""Comparisons along all axes of one run: differences and slopes, tested together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evalharness.analysis import stats
from evalharness.analysis.comparison.compare import Comparisons
from evalharness.analysis.comparison.comparison import Comparison
from evalharness.analysis.comparison.leaders import Leaders, LeaderSearch
from evalharness.analysis.comparison.matching import SettingPair, find_pairs
from evalharness.analysis.comparison.trends import Trend, Trends
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.errors import ConfigError


class RunComparisons(NamedTuple):
    """Comparisons, trends and leaders of a run, whose lines in the headline are tested together.

    Attributes:
        comparisons, trends: as :func:`.compare.compare` and :func:`.trends.trends` give them.
        leaders: as :meth:`.leaders.LeaderSearch.leaders` gives them.
        headline_lines: how many differences the headline speaks of, detected or not.
        not_comparable: axes along which no two settings differ in that axis alone, with the reason.
    """

    comparisons: list[Comparison]
    trends: list[Trend]
    leaders: dict[str, Leaders | None]
    headline_lines: int
    not_comparable: dict[str, str]


def compare_all_axes(frame: RunFrame, axes: Sequence[str]) -> RunComparisons:
    """Compare along each of some axes, in their order."""
    joined = JoinedRuns.of({"": frame})
    flips = stats.SignFlips(clusters=joined.clusters)
    pairs: dict[str, list[SettingPair]] = {}
    not_comparable: dict[str, str] = {}
    for axis in axes:
        try:
            pairs[axis] = find_pairs(joined.columns, axis)
        except ConfigError as error:
            hint = "" if error.hint is None else f": {error.hint}"
            not_comparable[axis] = error.message + hint
    comparisons, trends = Comparisons(joined, pairs, flips), Trends(joined, list(pairs), flips)
    comparisons.add_metrics()
    trends.add_metrics()
    search = LeaderSearch(frame, flips)
    compared, sloping = comparisons.headline_columns(), trends.headline_columns()
    joint = stats.joint_tests([*compared, *sloping], search.rankings())
    tests = flips.tests()
    return RunComparisons(
        comparisons.rows(tests, joint.columns[: len(compared)].tolist()),
        trends.rows(tests, joint.columns[len(compared) :].tolist()),
        search.leaders(tests, joint.contrasts),
        len(joint.columns) + sum(len(p) for p in joint.contrasts),
        not_comparable,
    )
