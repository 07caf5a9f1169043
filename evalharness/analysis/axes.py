"""All that is compared along the axes of one run: differences and slopes, tested together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalharness.analysis import stats
from evalharness.analysis.compare import Comparisons
from evalharness.analysis.frame import Frame
from evalharness.analysis.joined import Joined
from evalharness.analysis.matching import find_pairs
from evalharness.analysis.trends import Trends


def along(frame: Frame, axes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What :func:`.compare.compare` and :func:`.trends.trends` say along some axes, in their order.

    Raises:
        ConfigError: an axis along which no two settings differ.
    """
    joined = Joined.of({"": frame})
    flips = stats.SignFlips(clusters=joined.clusters)
    pairs = {axis: find_pairs(joined.columns, axis) for axis in axes}
    comparisons, trends = Comparisons(joined, pairs, flips), Trends(joined, axes, flips)
    comparisons.make()
    trends.fit()
    p = flips.p()
    return {"comparisons": comparisons.tested(p), "trends": trends.tested(p)}
