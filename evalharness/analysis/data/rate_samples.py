"""Rates of the load point that stands for a setting: what comparisons of rates start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from evalharness.analysis.data.encode import Floats


class RateSample(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A rate of one load point, or of a search; settings that shared one have the same object.

    Attributes:
        value: per second.
        stretches: the rate in each of the stretches of time that are taken as independent; None of
            the outcome of a search, whose bounds are verdicts.
        n: answers that the rate counts; of a search its valid points.
        high: of a search the lowest rate that did not hold; None where every rate held.
    """

    value: float
    stretches: Floats | None
    n: int
    high: float | None = None


#: Samples by metric and setting id.
SettingRates: TypeAlias = Mapping[str, Mapping[str, RateSample]]
