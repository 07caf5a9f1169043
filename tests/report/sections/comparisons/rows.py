"""Comparisons and trends to change at will."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from evalharness.analysis.comparison.comparison import (
    Comparison,
    MissingShares,
    UnmatchedPrompts,
)
from evalharness.analysis.comparison.trend import Trend

_COMPARISON = Comparison(
    metric="agreement", by="seed", a="a", a_label="seed=null", a_value=None,
    a_settings=["a", "b", "c", "d"], a_run=None, b="b", b_label="seed=7", b_value=7,
    b_settings=["e", "f", "g", "h"], b_run=None, pooled=False, stratum={}, also_differs=[],
    difference=0.0, ci95=[-0.24, 0.24], p=1.0, p_adjusted=1.0, test="sign-flip permutation", n=12,
    repeats=(3, 3), mde=None, mde_from=None, a_mean=0.5, b_mean=0.5, wins=0, losses=12, ties=0,
    correlation=None, mcnemar=None, unmatched=UnmatchedPrompts(0, 0), ratio=None, percentiles=None,
    missing=MissingShares(a=0.0, b=0.0, p=1.0), errors_as_failures=None, equivalence=None, family=1,
)  # fmt: skip
_TREND = Trend(
    metric="agreement", by="temperature", stratum={}, slope=-0.1, ci95=[-0.2, -0.05],
    points=[(0.0, 1.0), (0.5, 0.9), (1.0, 0.8)], n=12, dropped=0, page=None, cochran_q=None,
    p=0.01, p_adjusted=0.01, family=1,
)  # fmt: skip


def comparison(**values: Any) -> Comparison:
    """A comparison of agreement, seed none against 7, with other values."""
    return replace(_COMPARISON, **values)


def trend(**values: Any) -> Trend:
    """A falling trend of agreement over temperature, with other values."""
    return replace(_TREND, **values)
