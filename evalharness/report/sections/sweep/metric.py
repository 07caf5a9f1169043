"""The figures that the plots of a sweep draw, as read from each setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from evalharness.analysis.agreement.agreement import Agreement
from evalharness.analysis.distributions import Distribution
from evalharness.analysis.summary import SettingSummary
from evalharness.report.html.charts import chart_parts
from evalharness.report.html.charts.chart_parts import Spec
from evalharness.report.words.format_numbers import time_unit


class Reading(NamedTuple):
    """A figure of one setting.

    Attributes:
        value: None is unknown.
        low, high: its 95 % interval; None is undefined.
        prompts: that it is of.
    """

    value: float | None
    low: float | None
    high: float | None
    prompts: int


class SweepMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure to draw.

    Attributes:
        title: of a plot.
        axis: the figure with its unit.
        is_share: whether it is a share, from 0 to 1.
        readings: one a setting, in their order.
    """

    title: str
    axis: str
    is_share: bool
    readings: list[Reading]

    @property
    def is_informative(self) -> bool:
        """Whether a plot is worth drawing: not where a length or cost never changes."""
        known = [reading.value for reading in self.readings if reading.value is not None]
        return bool(known) and (self.is_share or len(set(known)) > 1)

    def channel(self) -> Spec:
        """The vertical channel of a plot."""
        if self.is_share:
            return chart_parts.share("value", self.axis)
        return chart_parts.quantity("value", self.axis, scale={"zero": True})

    def values(
        self, rows: Sequence[SettingSummary], position_of: Callable[[SettingSummary], Spec | None]
    ) -> list[Spec]:
        """One datum for each setting that has a value and a position in the plot."""
        values: list[Spec] = []
        for row, reading in zip(rows, self.readings, strict=True):
            value, low, high, prompts = reading
            position = position_of(row)
            if value is not None and position is not None:
                low, high = (value if end is None else end for end in (low, high))
                values.append({**position, "value": value, "low": low, "high": high, "n": prompts})
        return values


def sweep_metrics(
    rows: Sequence[SettingSummary], distributions: Sequence[Distribution]
) -> list[SweepMetric]:
    """The figures to draw; times in the unit that suits the longest."""
    longest = max((entry.means["latency_s"].mean or 0.0 for entry in distributions), default=0.0)
    unit, scale = time_unit(longest)

    def amount(title: str, axis: str, metric: str, factor: float = 1.0) -> SweepMetric:
        readings = [_mean(entry, metric, factor) for entry in distributions]
        return SweepMetric(title=title, axis=axis, is_share=False, readings=readings)

    def share(title: str, axis: str, readings: list[Reading]) -> SweepMetric:
        return SweepMetric(title=title, axis=axis, is_share=True, readings=readings)

    metrics = [
        share("Same text", "same text", [_agreement(row.agreement.raw) for row in rows]),
        share("Same answer", "same answer", [_agreement(row.agreement.answer) for row in rows]),
        share("Score", "mean score", [_score(row) for row in rows]),
        amount("Latency", f"mean latency ({unit})", "latency_s", scale),
        amount("Output length", "completion tokens", "completion_tokens"),
        amount("Cost", "US dollars per 1,000 requests", "cost_usd", 1000.0),
    ]
    return [metric for metric in metrics if metric.is_informative]


def _agreement(figures: Agreement) -> Reading:
    return Reading(
        figures.pairwise, *chart_parts.clip_interval(figures.ci95), prompts=figures.prompts
    )


def _score(row: SettingSummary) -> Reading:
    score = row.score
    return Reading(score.mean, *chart_parts.clip_interval(score.ci95), prompts=score.prompts)


def _mean(distribution: Distribution, metric: str, factor: float) -> Reading:
    mean, ci95 = distribution.means[metric].mean, distribution.means[metric].ci95
    if mean is None:
        return Reading(None, None, None, 0)
    low, high = (None, None) if ci95 is None else (max(0.0, end) * factor for end in ci95)
    return Reading(mean * factor, low, high, distribution.means[metric].n)
