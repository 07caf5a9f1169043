"""What searches and sweeps of loads found, from the load points that they measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import structs

from evalharness.analysis.load.capacity import Capacity, MeasuredServer, capacity
from evalharness.config.models import LoadConfig
from evalharness.config.server import ServerConfig
from evalharness.planning.load_points import load_from_identity
from evalharness.planning.rate_search import RateSearch
from evalharness.report.build.load_data import LoadPoint, LoadSearch, LoadSweep
from evalharness.report.build.rate_search.sweep_outcome import describe_sweep
from evalharness.store.folder.load_points_file import Measurement


def search_order(measurement: Measurement) -> tuple[int, float]:
    """Load points that were not searched first, then the steps of searches by rising load."""
    load = measurement.load
    if not measurement.searched:
        return 0, 0.0
    if load.get("arrival") != "closed":
        return 2, float(load["rate"])
    concurrency = float(load["concurrency"])
    return (1 if concurrency == 1 else 3), concurrency


def resolve_searches(
    shown: list[Measurement], points: list[LoadPoint]
) -> tuple[list[int], list[LoadSearch], list[LoadPoint]]:
    """Evaluate every search.

    Returns:
        The numbers of the measurements to report, the outcomes, and the load points with whether
        they hold.
    """
    points = list(points)
    numbers = [m.number for m in shown if not m.searched]
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, measurement in enumerate(shown):
        if measurement.load.get("search"):
            groups.setdefault(tuple(measurement.settings), []).append(index)
    searches: list[LoadSearch] = []
    for settings, indices in groups.items():
        config = msgspec.convert(shown[indices[0]].load, LoadConfig)
        assert config.search is not None
        search = RateSearch(config.rate or 1.0, config.search)
        number_at_rate: dict[float, int] = {}
        for index in indices:
            holds = points[index].meets_goodput(config.search.goodput)
            rate = float(shown[index].load["rate"])
            search.observe(rate, holds=holds)
            points[index] = structs.replace(points[index], holds=holds)
            number_at_rate[rate] = shown[index].number
        measured = number_at_rate.keys() - search.unmeasured
        best = search.low if search.low is not None else min(measured or number_at_rate)
        numbers.append(number_at_rate[best])
        searches.append(
            LoadSearch(
                settings=list(settings),
                labels=[setting.label for setting in points[indices[0]].settings],
                result=search.result.value,
                low=search.low,
                high=search.high,
                rates=sorted(number_at_rate),
                unmeasured_rates=sorted(search.unmeasured),
                goodput=config.search.goodput,
                shown_rate=best,
                outcome=search.outcome,
            )
        )
    return numbers, searches, points


def resolve_sweeps(
    shown: Sequence[Measurement], points: Sequence[LoadPoint], config: LoadConfig
) -> list[LoadSweep]:
    """Evaluate every sweep.

    Args:
        shown: the measurements.
        points: their load points, in the same order.
        config: whose limits judge them.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, measurement in enumerate(shown):
        if measurement.load.get("sweep"):
            groups.setdefault(tuple(measurement.settings), []).append(index)
    sweeps: list[LoadSweep] = []
    for settings, indices in groups.items():
        indices.sort(key=lambda index: shown[index].number)
        load = load_from_identity(shown[indices[0]].load, config)
        assert load.sweep is not None
        labels = [setting.label for setting in points[indices[0]].settings]
        facts = [points[index] for index in indices]
        sweeps.append(
            describe_sweep(facts, load.sweep, load.max_error_share, list(settings), labels)
        )
    return sweeps


def point_capacity(
    points: Sequence[LoadPoint], servers: Mapping[str, ServerConfig]
) -> Capacity | None:
    """Weigh the load points of steady loads against each other."""
    several = len({point.parameters[0].model for point in points}) > 1
    measured = [
        MeasuredServer(
            point, point.label, _server_name(point, with_model=several), _server(point, servers)
        )
        for point in points
        if point.load.get("arrival") not in ("ramp", "replay")
    ]
    return capacity(measured)


def _server_name(point: LoadPoint, *, with_model: bool) -> str:
    first = point.parameters[0]
    return f"{first.provider or 'unknown'}{f' {first.model}' if with_model else ''}"


def _server(point: LoadPoint, servers: Mapping[str, ServerConfig]) -> ServerConfig:
    return servers.get(point.parameters[0].provider or "", ServerConfig())
