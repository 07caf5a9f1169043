"""The rates of the load point, and of the search, that stand for each setting of a benchmark."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.rate_samples import RateSample
from evalharness.report.build.load_data import LoadPoint, LoadSearch

_POINT_RATES = ("throughput_per_s", "output_tokens_per_s")


def setting_rates(
    points: Sequence[LoadPoint],
    searches: Sequence[LoadSearch],
    stretches: Mapping[int, Mapping[str, Floats]],
    shown: Collection[int],
) -> dict[str, dict[str, RateSample]]:
    """The rates by metric and setting id.

    A point that does not represent its load has none, nor has a search in which no rate held.

    Args:
        points: the load points.
        searches: the outcome of every search.
        stretches: of each measurement, its rates over time, by metric.
        shown: numbers of the measurements that the report shows.
    """
    rates: dict[str, dict[str, RateSample]] = {}
    for point in points:
        if point.measurement not in shown or not point.valid:
            continue
        for metric in _POINT_RATES:
            value = getattr(point, metric)
            over_time = stretches[point.measurement].get(metric)
            if value is None or over_time is None:
                continue
            sample = RateSample(value=value, stretches=over_time, n=point.completed)
            rates.setdefault(metric, {}).update(dict.fromkeys(_ids(point), sample))
    for search in searches:
        if search.low is not None:
            valid = len(search.rates) - len(search.unmeasured_rates)
            sample = RateSample(value=search.low, stretches=None, n=valid, high=search.high)
            rates.setdefault("saturation_per_s", {}).update(dict.fromkeys(search.settings, sample))
    return rates


def _ids(point: LoadPoint) -> list[str]:
    return [setting.setting_id for setting in point.settings]
