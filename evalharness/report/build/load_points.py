"""The load section of a report: one row a load point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis.data.encode import Bools, Floats
from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.data.rate_samples import SettingRates
from evalharness.analysis.distributions import ecdf
from evalharness.analysis.load.load_metrics import time_metrics
from evalharness.analysis.load.load_point import (
    ATTEMPT_COLUMNS,
    RECORD_COLUMNS,
    LoadPointResult,
    describe_load_point,
)
from evalharness.analysis.load.load_timeline import load_timeline
from evalharness.analysis.load.measured_requests import MeasuredRequests
from evalharness.config.models import LoadConfig
from evalharness.planning.load_points import load_from_identity
from evalharness.planning.rate_search import RateSearch
from evalharness.records import Phase
from evalharness.report.build.load_data import (
    LoadData,
    LoadPoint,
    LoadPointSetting,
    LoadSearch,
    RequestParameters,
    TokenTimes,
)
from evalharness.report.build.setting_rates import setting_rates
from evalharness.store.folder.load_points_file import (
    Measurement,
    current_measurements,
    read_measurements,
)
from evalharness.store.folder.run import Run
from evalharness.store.parts.streaming_read import Snapshot, concat_parts

if TYPE_CHECKING:
    import pyarrow as pa


class LoadSection(NamedTuple):
    """The load section as JSON, and the measurements whose records the other figures use.

    Warm-up is in no figure, nor is a measurement that was interrupted or repeated. Of a search, the
    measurement at the highest rate that met the SLO stands for the setting.

    Attributes:
        data: the section; None in batch evaluation.
        numbers: numbers of the measurements to report.
        requests: the measured requests of those.
        rates: the rates of each setting, by metric and setting id.
    """

    data: LoadData | None
    numbers: frozenset[int]
    requests: Sequence[MeasuredRequests] = ()
    rates: SettingRates = MappingProxyType({})

    def reported_mask(self, records: pa.Table, has_phases: Callable[[], bool]) -> Bools | None:
        """The records that figures are computed from; None for all of them.

        An imported benchmark has no list of measurements; only its warm-up is left out.

        Args:
            records: some records of the run.
            has_phases: says whether any record of the run has a phase; without one, all are taken.
        """
        number, phase = records["measurement"], records["phase"]
        if number.null_count == len(records):
            return None
        if phase.null_count == len(records) and not has_phases():
            return None
        measured = np.array([p == Phase.MEASURED.value for p in phase.to_pylist()], np.bool_)
        listed = [m is None or self.data is None or m in self.numbers for m in number.to_pylist()]
        unmeasured = np.asarray(number.is_null(), dtype=np.bool_)
        return unmeasured | (measured & np.array(listed, np.bool_))


def load_section(run: Run, settings: pa.Table, config: JsonValues | None) -> LoadSection:
    """Describe every load point of a run.

    Args:
        run: the run.
        settings: the settings to show.
        config: ``load`` of the run's configuration; None applies the default limits.
    """
    measurements = read_measurements(run.root)
    if not measurements:
        return LoadSection(None, frozenset())
    load_config = msgspec.convert(config, LoadConfig) if config else LoadConfig()
    ids, names = settings["setting_id"].to_pylist(), settings["label"].to_pylist()
    labels = {str(key): str(name) for key, name in zip(ids, names, strict=True)}
    shown = [
        measurement
        for measurement in current_measurements(measurements)
        if set(measurement.settings) <= labels.keys()
    ]
    shown.sort(key=lambda m: float(m.load["rate"]) if m.searched else 0.0)
    records = MeasurementRows(run.snapshot("records"), RECORD_COLUMNS)
    attempts = MeasurementRows(run.snapshot("attempts"), ATTEMPT_COLUMNS)
    parameters = _request_parameters(settings)
    points: list[LoadPoint] = []
    requests: dict[int, MeasuredRequests] = {}
    stretches: dict[int, Mapping[str, Floats]] = {}
    for measurement in shown:
        number = measurement.number
        measured = measure_rows(
            measurement, records.read(number), attempts.read(number), load_config
        )
        requests[number], stretches[number] = measured.measured, measured.rates
        points.append(_point(measurement, measured, labels, parameters))
    numbers, searches, points = _resolve_searches(shown, points)
    unfinished = sum(not measurement.is_finished for measurement in measurements)
    data = LoadData(points=points, searches=searches, unfinished_measurements=unfinished)
    rates = setting_rates(points, searches, stretches, numbers)
    return LoadSection(data, frozenset(numbers), [requests[n] for n in numbers], rates)


class MeasurementRows:
    """Reads the rows of single measurements: only from the parts that hold some."""

    def __init__(self, stored: Snapshot, columns: Sequence[str]) -> None:
        self._stored = stored
        self._columns = columns
        self._parts: dict[int | None, set[int]] = {}
        for index, part in enumerate(stored.parts(["measurement"])):
            for number in part["measurement"].unique().to_pylist():
                self._parts.setdefault(number, set()).add(index)

    def read(self, number: int) -> pa.Table:
        """The rows of a measurement."""
        parts = self._stored.parts(self._columns, part_numbers=self._parts.get(number, set()))
        (rows,) = concat_parts((_rows_of(part, number) for part in parts), rows=None)
        return rows


def measure_rows(
    measurement: Measurement, records: pa.Table, attempts: pa.Table, load_config: LoadConfig
) -> LoadPointResult:
    """Describe one measurement, given tables that hold its rows."""
    return describe_load_point(
        measurement,
        _rows_of(records, measurement.number),
        _rows_of(attempts, measurement.number),
        load_from_identity(measurement.load, load_config),
    )


def _request_parameters(settings: pa.Table) -> dict[str, RequestParameters]:
    """What each setting requests, by setting id."""
    names = ["setting_id", "provider", "model", "params_json", "system", "template"]
    return {
        row["setting_id"]: RequestParameters(
            provider=row["provider"],
            model=row["model"],
            system=row["system"],
            template=row["template"],
            params=msgspec.json.decode(row["params_json"]),
        )
        for row in settings.select(names).to_pylist()
    }


def _rows_of(table: pa.Table, number: int) -> pa.Table:
    import pyarrow.compute

    compute: Any = pyarrow.compute
    return table.filter(compute.equal(table["measurement"], number))


def _point(
    measurement: Measurement,
    measured: LoadPointResult,
    labels: dict[str, str],
    parameters: dict[str, RequestParameters],
) -> LoadPoint:
    """Describe a load point; labels and parameters are by setting id."""
    by_setting: list[LoadPointSetting] = []
    for index, setting in enumerate(measurement.settings):
        rows = measured.requests.setting == index
        ttft, tpot = measured.requests.ttft_s[rows], measured.requests.tpot_s[rows]
        times = time_metrics(measured.requests, rows)
        by_setting.append(
            LoadPointSetting(
                setting_id=setting,
                label=labels[setting],
                ecdf=TokenTimes(ttft_s=ecdf(ttft), tpot_s=ecdf(tpot)),
                **structs.asdict(times),
            )
        )
    return LoadPoint(
        label=_label(measurement),
        settings=by_setting,
        timeline=load_timeline(measurement, measured),
        parameters=[parameters[setting] for setting in measurement.settings],
        **structs.asdict(measured.facts),
    )


def _label(measurement: Measurement) -> str:
    load = measurement.load
    arrival = load.get("arrival", "closed")
    if arrival == "closed":
        others = f", {load['background']} beside" if load.get("background") else ""
        block = f", block {load['block']}" if load.get("block") else ""
        return f"closed, {load.get('concurrency', 1)} in flight{others}{block}"
    if arrival == "replay":
        return f"replay of {load.get('column')}, {load.get('speed', 1):g}×"
    if arrival == "ramp":
        return f"ramp {load.get('start_rate', 0):g} to {load['rate']:g}/s"
    burst = f", burstiness {load.get('burstiness', 1):g}" if arrival == "gamma" else ""
    return f"{arrival} {load['rate']:g}/s{burst}"


def _resolve_searches(
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
        if measurement.searched:
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
