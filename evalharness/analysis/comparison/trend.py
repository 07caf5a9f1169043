"""The row of a trend, as ``report --json`` and ``compare --json`` have it."""

from __future__ import annotations

import msgspec

from evalharness.analysis.comparison.comparison import deciding_p, is_significant
from evalharness.analysis.data.json_values import JsonValues


class PageTest(msgspec.Struct, frozen=True):
    """Page's test for a trend of ranks.

    Attributes:
        z: standardised L; above 0 where the values rise.
        p: two-sided p value, not adjusted.
    """

    z: float
    p: float


class CochranTest(msgspec.Struct, frozen=True):
    """Cochran's test for any difference between settings that pass or fail.

    Attributes:
        q: the statistic.
        p: its p value, not adjusted.
    """

    q: float
    p: float


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The mean over prompts of the slope of a metric along a numeric axis, within a stratum.

    The unit of a metric is a share from 0 to 1, seconds, tokens or US dollars.

    Attributes:
        metric: what changes.
        by: the axis.
        stratum: values of the other axes that vary.
        slope: change of the metric per unit of the axis; null where no prompt has a value at every
            setting.
        ci95: 95 % interval of the slope, not adjusted; null where it is undefined.
        points: each value on the axis, with the mean over prompts; null is unknown.
        n: prompts with a value at every setting.
        dropped: prompts left out, because a setting has no value.
        page: Page's test, for latency, tokens and cost; null for other metrics, or where it is
            undefined.
        cochran_q: Cochran's test, where every score is one pass or fail; null otherwise.
        p: p value of the slope; null where it is undefined.
        p_adjusted: p value adjusted over the family; null where p is.
        family: strata of the metric, which p is adjusted for.
        p_headline: p value adjusted over all lines of the headline of the report; null outside of
            a report.
        sentence: all of it in words.
    """

    metric: str
    by: str
    stratum: JsonValues
    slope: float | None
    ci95: list[float] | None
    points: list[tuple[float, float | None]]
    n: int
    dropped: int
    page: PageTest | None
    cochran_q: CochranTest | None
    p: float | None = None
    p_adjusted: float | None = None
    family: int = 0
    p_headline: float | None = None
    sentence: str = ""

    @property
    def deciding_p(self) -> float | None:
        """The p value that decides; see :func:`.comparison.deciding_p`."""
        return deciding_p(self.p_adjusted, self.p_headline)

    @property
    def is_detected(self) -> bool:
        """Whether the slope is significant after adjustment."""
        return is_significant(self.deciding_p)

    @property
    def largest_figure(self) -> float:
        """The largest of its slope and interval, which sets the unit of both."""
        return max(map(abs, (self.slope or 0.0, *(self.ci95 or ()))))
