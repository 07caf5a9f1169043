"""The load section of a report: one row a load point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Bools
from evalharness.analysis.distributions import ecdf
from evalharness.analysis.load.load_metrics import metrics
from evalharness.analysis.load.load_point import ATTEMPT_COLUMNS, RECORD_COLUMNS, Measured, measure
from evalharness.analysis.load.load_timeline import timeline
from evalharness.config.models import LoadConfig
from evalharness.planning.load_points import load_of
from evalharness.records import Phase
from evalharness.runner.benchmark.rate_search import Search
from evalharness.store.folder.load_points_file import Measurement, current, read_measurements
from evalharness.store.folder.run import Run
from evalharness.store.parts.streaming_read import Snapshot, joined

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


class Loaded(NamedTuple):
    """The section as JSON (None in batch evaluation), and the measurements that other figures use.

    Warm-up and measurements that were interrupted or made anew are in no figure. Of a search the
    highest rate that held stands for the setting.
    """

    data: Row | None
    numbers: frozenset[int]

    def kept(self, records: pa.Table, phased: Callable[[], bool]) -> Bools | None:
        """The records that figures are made from; None for all of them.

        An import of a benchmark's records has no list of measurements: its warm-up stays out.

        Args:
            records: some records of the run.
            phased: says whether any record of the run has a phase; where none has, all are kept.
        """
        number, phase = records["measurement"], records["phase"]
        if number.null_count == len(records):
            return None
        if phase.null_count == len(records) and not phased():
            return None
        measured = np.array([p == Phase.MEASURED.value for p in phase.to_pylist()], np.bool_)
        among = [m is None or self.data is None or m in self.numbers for m in number.to_pylist()]
        outside = np.asarray(number.is_null(), dtype=np.bool_)
        return outside | (measured & np.array(among, np.bool_))


def load_section(run: Run, settings: pa.Table, config: Row | None) -> Loaded:
    """Describe every load point of a run.

    Args:
        run: the run.
        settings: the settings to show.
        config: ``load`` of the run's configuration; None judges by the defaults.
    """
    every = read_measurements(run.root)
    if not every:
        return Loaded(None, frozenset())
    judge = msgspec.convert(config, LoadConfig) if config else LoadConfig()
    ids, names = settings["setting_id"].to_pylist(), settings["label"].to_pylist()
    labels = {str(key): str(name) for key, name in zip(ids, names, strict=True)}
    shown = [one for one in current(every) if set(one.settings) <= labels.keys()]
    shown.sort(key=lambda one: float(one.load["rate"]) if one.searched else 0.0)
    records = MeasuredRows(run.snapshot("records"), RECORD_COLUMNS)
    attempts = MeasuredRows(run.snapshot("attempts"), ATTEMPT_COLUMNS)
    asked = _asked(settings)
    points: list[Row] = []
    for one in shown:
        found = measure_one(one, records.of(one.number), attempts.of(one.number), judge)
        point = _point(one, found, [labels[s] for s in one.settings])
        points.append({**point, "asked": [asked[s] for s in one.settings]})
    numbers, searches = _chosen(shown, points)
    unfinished = sum(not one.finished for one in every)
    data = {"points": points, "searches": searches, "unfinished_measurements": unfinished}
    return Loaded(data, frozenset(numbers))


class MeasuredRows:
    """The rows of one measurement after the other: only the parts that hold some are read."""

    def __init__(self, stored: Snapshot, columns: Sequence[str]) -> None:
        self._stored = stored
        self._columns = columns
        self._parts: dict[int | None, set[int]] = {}
        for place, part in enumerate(stored.parts(["measurement"])):
            for number in part["measurement"].unique().to_pylist():
                self._parts.setdefault(number, set()).add(place)

    def of(self, number: int) -> pa.Table:
        """The rows of a measurement."""
        parts = self._stored.parts(self._columns, only=self._parts.get(number, set()))
        (rows,) = joined((_of(part, number) for part in parts), rows=None)
        return rows


def measure_one(
    one: Measurement, records: pa.Table, attempts: pa.Table, judge: LoadConfig
) -> Measured:
    """Describe one measurement, given tables that hold its rows."""
    return measure(
        one, _of(records, one.number), _of(attempts, one.number), load_of(one.load, judge)
    )


def holds(facts: Row, goodput: float) -> bool:
    """Whether a load point meets the SLO often enough, and counts at all."""
    found: Row = facts["goodput"] or {}
    share: float | None = found.get("share")
    complete = facts["state"] == "complete" and bool(facts["valid"])
    return complete and share is not None and share >= goodput


def _asked(settings: pa.Table) -> dict[str, Row]:
    """What each setting asks, whatever the load: load points that agree in it are one curve."""
    names = ["provider", "model", "params_json", "system", "template"]
    return {
        row["setting_id"]: {
            **{name: row[name] for name in names if name != "params_json"},
            "params": msgspec.json.decode(row["params_json"]),
        }
        for row in settings.select(["setting_id", *names]).to_pylist()
    }


def _of(table: pa.Table, number: int) -> pa.Table:
    import pyarrow.compute

    compute: Any = pyarrow.compute
    return table.filter(compute.equal(table["measurement"], number))


def _point(one: Measurement, found: Measured, labels: list[str]) -> Row:
    by_setting: list[Row] = []
    for index, setting in enumerate(one.settings):
        rows = found.requests.setting == index
        ttft, tpot = found.requests.ttft_s[rows], found.requests.tpot_s[rows]
        by_setting.append(
            {
                "setting_id": setting,
                "label": labels[index],
                **metrics(found.requests, rows),
                "ecdf": {"ttft_s": ecdf(ttft), "tpot_s": ecdf(tpot)},
            }
        )
    return {
        "label": _label(one),
        **found.facts,
        "settings": by_setting,
        "timeline": timeline(one, found),
    }


def _label(one: Measurement) -> str:
    load = one.load
    arrival = load.get("arrival", "closed")
    if arrival == "closed":
        return f"closed, {load.get('concurrency', 1)} in flight"
    if arrival == "replay":
        return f"replay of {load.get('column')}, {load.get('speed', 1):g}×"
    if arrival == "ramp":
        return f"ramp {load.get('start_rate', 0):g} to {load['rate']:g}/s"
    burst = f", burstiness {load.get('burstiness', 1):g}" if arrival == "gamma" else ""
    return f"{arrival} {load['rate']:g}/s{burst}"


def _chosen(shown: list[Measurement], points: list[Row]) -> tuple[list[int], list[Row]]:
    """Measurements that stand for their settings, and what every search came to."""
    numbers = [one.number for one in shown if not one.searched]
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, one in enumerate(shown):
        if one.searched:
            groups.setdefault(tuple(one.settings), []).append(index)
    searches: list[Row] = []
    for settings, indices in groups.items():
        config = msgspec.convert(shown[indices[0]].load, LoadConfig)
        assert config.search is not None
        search = Search(config.rate or 1.0, config.search)
        verdicts: dict[float, int] = {}
        for index in indices:
            good = holds(points[index], config.search.goodput)
            rate = float(shown[index].load["rate"])
            search.observe(rate, holds=good)
            points[index]["holds"] = good
            verdicts[rate] = shown[index].number
        best = search.low if search.low is not None else min(verdicts)
        numbers.append(verdicts[best])
        searches.append(
            {
                "settings": list(settings),
                "labels": [s["label"] for s in points[indices[0]]["settings"]],
                "low": search.low,
                "high": search.high,
                "rates": sorted(verdicts),
                "goodput": config.search.goodput,
                "shown_rate": best,
                "outcome": search.outcome,
            }
        )
    return numbers, searches
