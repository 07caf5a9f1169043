"""All that is compared along the axes of one run: differences and slopes, tested together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from evalharness.analysis import stats
from evalharness.analysis.comparison.compare import Comparisons
from evalharness.analysis.comparison.matching import Pair, find_pairs
from evalharness.analysis.comparison.trends import Trends
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.data.join_runs import Joined
from evalharness.errors import ConfigError


class Along(NamedTuple):
    """What is found along the axes of a run, and along which nothing can be compared.

    Attributes:
        comparisons, trends: as :func:`.compare.compare` and :func:`.trends.trends` say.
        apart: axes along which no two settings differ in that axis alone, with the reason.
    """

    comparisons: list[dict[str, Any]]
    trends: list[dict[str, Any]]
    apart: dict[str, str]


def along(frame: Frame, axes: Sequence[str]) -> Along:
    """Compare along each of some axes, in their order."""
    joined = Joined.of({"": frame})
    flips = stats.SignFlips(clusters=joined.clusters)
    pairs: dict[str, list[Pair]] = {}
    apart: dict[str, str] = {}
    for axis in axes:
        try:
            pairs[axis] = find_pairs(joined.columns, axis)
        except ConfigError as error:
            apart[axis] = error.message if error.hint is None else f"{error.message}: {error.hint}"
    comparisons, trends = Comparisons(joined, pairs, flips), Trends(joined, list(pairs), flips)
    comparisons.make()
    trends.fit()
    p = flips.p()
    return Along(comparisons.tested(p), trends.tested(p), apart)
