"""How many independent prompts some prompts are worth."""

from __future__ import annotations

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Bools
from evalharness.analysis.data.frame import RunFrame


def effective_prompts(frame: RunFrame, used: Bools) -> float:
    """The prompts used, or the effective clusters of them where prompts name clusters."""
    if frame.clusters is None or not used.any():
        return float(used.sum())
    return stats.effective_clusters(frame.clusters[used])
