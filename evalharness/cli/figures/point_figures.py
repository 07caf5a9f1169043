"""Figures of the load point that stands for a setting, with their bounds: what gates read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalharness.analysis.load.summary import MetricSummary
from evalharness.report.build.load_data import LoadData, LoadPoint, LoadSearch

#: A figure and the ends of its 95 % interval; None is unknown.
Figure = tuple[float | None, Sequence[float | None] | None]
UNKNOWN: Figure = (None, None)


def point_of(data: LoadData, setting_id: str) -> LoadPoint | None:
    """The load point of a setting: of a search or sweep the one whose records the report shows."""
    search = search_of(data, setting_id)
    sweep = next((sweep for sweep in data.sweeps if setting_id in sweep.settings), None)
    for point in data.points:
        shown = search is None or point.load.get("rate") == search.shown_rate
        if sweep is not None:
            shown = point.measurement == sweep.shown_measurement
        if shown and any(setting.setting_id == setting_id for setting in point.settings):
            return point
    return None


def search_of(data: LoadData, setting_id: str) -> LoadSearch | None:
    """The search for the saturation of a setting; None where there was none."""
    return next((search for search in data.searches if setting_id in search.settings), None)


def of_point(read: Callable[[LoadPoint], Figure]) -> Callable[[LoadData, str], Figure]:
    """A figure of the load point; unknown without one, and where it does not represent its load."""

    def figure(data: LoadData, setting_id: str) -> Figure:
        point = point_of(data, setting_id)
        return UNKNOWN if point is None or not point.valid else read(point)

    return figure


def p95(summary: MetricSummary) -> Figure:
    """The 95th percentile."""
    return summary.p95, summary.ci95.get("p95")


def goodput(point: LoadPoint) -> Figure:
    """The share of requests that met the SLO."""
    return UNKNOWN if point.goodput is None else (point.goodput.share, point.goodput.ci95)


def throughput(point: LoadPoint) -> Figure:
    """Answers per second."""
    return point.throughput_per_s, point.throughput_ci95


def output_tokens(point: LoadPoint) -> Figure:
    """Output tokens per second."""
    return point.output_tokens_per_s, point.output_tokens_ci95


def saturation(data: LoadData, setting_id: str) -> Figure:
    """The highest rate that met the SLO: a bound of verdicts, which has no interval."""
    search = search_of(data, setting_id)
    return UNKNOWN if search is None else (search.low, None)
