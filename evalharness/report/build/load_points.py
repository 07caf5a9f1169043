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
from evalharness.config.server import ServerConfig
from evalharness.config.workload import TRACE_DUE
from evalharness.planning.load_points import load_from_identity
from evalharness.records import Phase
from evalharness.report.build.load_data import (
    LoadData,
    LoadPoint,
    LoadPointSetting,
    RequestParameters,
    TokenTimes,
)
from evalharness.report.build.rate_search.resolve import (
    point_capacity,
    resolve_searches,
    resolve_sweeps,
    search_order,
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


def load_section(
    run: Run,
    settings: pa.Table,
    config: JsonValues | None,
    servers: Mapping[str, ServerConfig] = MappingProxyType({}),
) -> LoadSection:
    """Describe every load point of a run.

    Args:
        run: the run.
        settings: the settings to show.
        config: ``load`` of the run's configuration; None applies the default limits.
        servers: what the server of a provider runs on, by its name.
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
    shown.sort(key=search_order)
    records = MeasurementRows(run.snapshot("records"), RECORD_COLUMNS)
    attempts = MeasurementRows(run.snapshot("attempts"), ATTEMPT_COLUMNS)
    parameters, clusters = _request_parameters(settings), _clusters(run.table("prompts"))
    points: list[LoadPoint] = []
    requests: dict[int, MeasuredRequests] = {}
    stretches: dict[int, Mapping[str, Floats]] = {}
    for measurement in shown:
        number = measurement.number
        measured = measure_rows(
            measurement, records.read(number), attempts.read(number), load_config, clusters
        )
        requests[number], stretches[number] = measured.measured, measured.rates
        points.append(_point(measurement, measured, labels, parameters))
    points = _with_servers(points)
    numbers, searches, points = resolve_searches(shown, points)
    sweeps = resolve_sweeps(shown, points, load_config)
    numbers += [sweep.shown_measurement for sweep in sweeps]
    unfinished = sum(not measurement.is_finished for measurement in measurements)
    data = LoadData(
        points=points,
        searches=searches,
        sweeps=sweeps,
        capacity=point_capacity(points, servers),
        unfinished_measurements=unfinished,
    )
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
    measurement: Measurement,
    records: pa.Table,
    attempts: pa.Table,
    load_config: LoadConfig,
    clusters: Mapping[str, str] = MappingProxyType({}),
) -> LoadPointResult:
    """Describe one measurement, given tables that hold its rows, and clusters by prompt."""
    return describe_load_point(
        measurement,
        _rows_of(records, measurement.number),
        _rows_of(attempts, measurement.number),
        load_from_identity(measurement.load, load_config),
        clusters,
    )


def _clusters(prompts: pa.Table) -> dict[str, str]:
    """The clusters of prompts that have one, by their ids."""
    pairs = zip(prompts["prompt_id"].to_pylist(), prompts["cluster"].to_pylist(), strict=True)
    return {str(prompt): str(cluster) for prompt, cluster in pairs if cluster is not None}


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


def _with_servers(points: list[LoadPoint]) -> list[LoadPoint]:
    """The points, their names with provider and model where these differ between them."""
    first = [point.parameters[0] for point in points]
    several = [
        name
        for name in ("provider", "model")
        if len({getattr(parameters, name) for parameters in first}) > 1
    ]
    if not several:
        return points
    names = [" ".join(str(getattr(each, name)) for name in several) for each in first]
    return [
        structs.replace(point, label=f"{name}: {point.label}")
        for name, point in zip(names, points, strict=True)
    ]


def _label(measurement: Measurement) -> str:
    load, sessions = measurement.load, "" if measurement.sessions is None else " sessions"
    arrival = load.get("arrival", "closed")
    if arrival == "closed" and sessions:
        return f"closed, {load.get('concurrency', 1)} sessions"
    if arrival == "closed":
        others = f", {load['background']} beside" if load.get("background") else ""
        block = f", block {load['block']}" if load.get("block") else ""
        return f"closed, {load.get('concurrency', 1)} in flight{others}{block}"
    if arrival == "replay":
        source = load.get("column") or load.get("from")
        source = "the trace" if source == TRACE_DUE else source
        return f"replay of {source}, {load.get('speed', 1):g}×"
    if arrival == "ramp":
        return f"ramp {load.get('start_rate', 0):g} to {load['rate']:g}{sessions}/s"
    burst = f", burstiness {load.get('burstiness', 1):g}" if arrival == "gamma" else ""
    return f"{arrival} {load['rate']:g}{sessions}/s{burst}"
