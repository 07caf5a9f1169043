"""One measurement of a load point: requested load, achieved load, and whether it is valid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.load.load_facts import (
    ClockSkew,
    InFlight,
    LoadError,
    LoadFacts,
    RequestCounts,
    Sessions,
    invalid_reasons,
)
from evalharness.analysis.load.load_metrics import (
    COLUMNS,
    DeliveredRequests,
    delivered_requests,
    goodput,
    meets_slo,
    time_metrics,
)
from evalharness.analysis.load.measured_requests import (
    MeasuredRequests,
    goodput_interval,
    measured_requests,
    rate_interval,
    rate_stretches,
)
from evalharness.analysis.load.sent_attempts import SentAttempts, max_in_flight, mean_in_flight
from evalharness.analysis.load.summary import DependentGroups, summarize
from evalharness.config.models import LoadConfig
from evalharness.records import Phase, Status
from evalharness.store.folder.load_points_file import Measurement

if TYPE_CHECKING:
    import pyarrow as pa

#: The attempt columns read here.
ATTEMPT_COLUMNS = (
    "trial_id", "setting_id", "attempt", "final", "outcome", "status", "http_status",
    "error_kind", "scheduled_at", "admitted_at", "sent_at", "queue_s", "latency_s", "measurement",
    "phase",
)  # fmt: skip
RECORD_COLUMNS = COLUMNS


class LoadPointResult(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The facts of a measurement, and the arrays they are computed from.

    ``rates`` are throughput and output tokens per second in each stretch of the window, by metric;
    one that is unknown is absent.
    """

    facts: LoadFacts
    requests: DeliveredRequests
    sent: SentAttempts
    measured: MeasuredRequests
    rates: dict[str, Floats]


def describe_load_point(
    measurement: Measurement,
    records: pa.Table,
    attempts: pa.Table,
    load: LoadConfig,
    clusters: Mapping[str, str] = MappingProxyType({}),
) -> LoadPointResult:
    """Describe a measurement.

    Args:
        measurement: the measurement.
        records: its records, with :data:`RECORD_COLUMNS`.
        attempts: its attempts, with :data:`ATTEMPT_COLUMNS`.
        load: the load and the limits it is judged by.
        clusters: of prompts that have one, by their ids: what intervals take as independent.
    """
    sent = SentAttempts.of(attempts, measurement.anchor_ns or 0)
    measured = _where(records, "phase", Phase.MEASURED.value)
    delivered = _without(measured, "status", Status.ERROR.value)
    requests = delivered_requests(
        delivered,
        measurement.settings,
        (measurement.anchor_ns or 0) / 1e9,
        _first_due(attempts),
        clusters,
    )
    counts = RequestCounts(
        scheduled=measurement.scheduled,
        sent=int((sent.first & sent.measured).sum()),
        delivered=len(delivered),
        failed=len(measured) - len(delivered),
        retries=int((~sent.first & sent.measured).sum()),
        warmup=int((sent.first & ~sent.measured & ~sent.background).sum()),
        background=int((sent.first & sent.background).sum()),
        not_sent=len(attempts) - len(sent.at),
    )
    completed = _completed(measurement, records)
    rates = _stretches(measurement, completed)
    facts = _facts(measurement, load, requests, sent, counts, _errors(attempts), completed, rates)
    invalid = invalid_reasons(facts, load)
    slo = _limits(load)
    ended = measured_requests(
        delivered,
        _where(measured, "status", Status.ERROR.value),
        requests,
        meets_slo(requests, slo) if slo else None,
        (measurement.anchor_ns or 0) / 1e9,
        clusters,
    )
    met = facts.goodput
    if met is not None and len(measured) == measurement.scheduled:
        met = structs.replace(met, ci95=goodput_interval(ended))
    facts = structs.replace(facts, invalid=invalid, valid=not invalid, goodput=met)
    return LoadPointResult(facts=facts, requests=requests, sent=sent, measured=ended, rates=rates)


def _limits(load: LoadConfig) -> dict[str, float]:
    """The limits of the SLO in seconds, by name; empty without one."""
    return {k: v for k, v in msgspec.to_builtins(load.slo).items() if v is not None}


def _facts(
    measurement: Measurement,
    load: LoadConfig,
    requests: DeliveredRequests,
    sent: SentAttempts,
    counts: RequestCounts,
    errors: list[LoadError],
    completed: tuple[Floats, Floats],
    rates: dict[str, Floats],
) -> LoadFacts:
    """The facts, before it is known whether they are valid."""
    window = _window(measurement)
    slo = _limits(load)
    closed = load.arrival == "closed"
    first = sent.first & sent.measured
    in_time = first & (sent.at < (measurement.end_s or 0.0))
    at, tokens = completed
    tokens_known = not np.isnan(tokens).any()
    in_time_order = DependentGroups.of(sent.at[first], None)
    return LoadFacts(
        measurement=measurement.number,
        load=measurement.load,
        searched=measurement.searched,
        state=measurement.state.value,
        reason=measurement.reason,
        window_s=window,
        requests=counts,
        requested_rate=None if closed else _rate(measurement.scheduled, window),
        achieved_rate=_rate(int(in_time.sum()), window),
        completed=len(at),
        throughput_per_s=_rate(len(at), window),
        throughput_ci95=rate_interval(rates.get("throughput_per_s")),
        output_tokens_per_s=_rate(float(tokens.sum()), window) if tokens_known else None,
        output_tokens_ci95=rate_interval(rates.get("output_tokens_per_s")),
        concurrency=InFlight(
            requested=(
                (load.concurrency or 1) + load.background
                if closed and measurement.sessions is None
                else None
            ),
            mean=mean_in_flight(sent, measurement, window),
            most=max_in_flight(sent),
        ),
        schedule_delay_s=summarize(sent.late[first], in_time_order),
        admission_delay_s=summarize((sent.admitted - sent.due)[first], in_time_order),
        client_lag_s=measurement.lag_s or None,
        sessions=_sessions(measurement, load),
        clocks=ClockSkew.of(measurement.clocks),
        goodput=goodput(requests, slo, measurement.scheduled, window),
        errors=errors,
        invalid=[],
        valid=True,
        **structs.asdict(time_metrics(requests)),
    )


def _window(measurement: Measurement) -> float | None:
    """Seconds for which the load was held; None when it never was."""
    begin, end = measurement.begin_s, measurement.end_s
    return None if begin is None or end is None or end <= begin else end - begin


def _sessions(measurement: Measurement, load: LoadConfig) -> Sessions | None:
    """The conversations of a measurement; None without any."""
    if measurement.sessions is None:
        return None
    begin, end = measurement.begin_s, measurement.arrivals_end_s
    if measurement.end_s is not None and end is not None:
        end = min(end, measurement.end_s)
    arrivals_s = None if begin is None or end is None or end <= begin else end - begin
    paced = load.arrival in ("constant", "poisson", "gamma")
    return Sessions(
        arrived=measurement.sessions,
        requested_per_s=load.rate if paced else None,
        arrived_per_s=_rate(measurement.sessions, arrivals_s),
        requested_in_flight=(load.concurrency or 1) if load.arrival == "closed" else None,
    )


def _rate(count: float, window_s: float | None) -> float | None:
    return count / window_s if window_s else None


def _completed(measurement: Measurement, records: pa.Table) -> tuple[Floats, Floats]:
    """When answers were completed while the load was held, and their tokens; NaN without usage."""
    anchor, delivered = (
        (measurement.anchor_ns or 0) / 1e9,
        _without(records, "status", Status.ERROR.value),
    )
    end = encode.to_floats(delivered["sent_at"]) - anchor + encode.to_floats(delivered["latency_s"])
    inside = (end >= (measurement.begin_s or 0.0)) & (end < (measurement.end_s or 0.0))
    return end[inside], encode.to_floats(delivered["completion_tokens"])[inside]


def _stretches(measurement: Measurement, completed: tuple[Floats, Floats]) -> dict[str, Floats]:
    """The rates over the stretches of the window, by metric; without those that are unknown."""
    at, tokens = completed
    ends = (measurement.begin_s or 0.0, measurement.end_s or 0.0)
    amounts = {"throughput_per_s": np.ones(len(at)), "output_tokens_per_s": tokens}
    rates = {name: rate_stretches(at, each, *ends) for name, each in amounts.items()}
    return {
        name: rate for name, rate in rates.items() if rate is not None and not np.isnan(rate).any()
    }


def _errors(attempts: pa.Table) -> list[LoadError]:
    """Failed attempts of the measured phase by cause, commonest first."""
    measured = _where(attempts, "phase", Phase.MEASURED.value)
    failed = _where(measured, "status", Status.ERROR.value)
    rows = zip(failed["error_kind"].to_pylist(), failed["http_status"].to_pylist(), strict=True)
    return [
        LoadError(error_kind=kind, http_status=status, attempts=count)
        for (kind, status), count in Counter(rows).most_common()
    ]


def _first_due(attempts: pa.Table) -> dict[str, float]:
    """When the trials that were retried were due first, seconds since the epoch."""
    number = encode.to_floats(attempts["attempt"])
    if not (number > 1).any():
        return {}
    due = encode.to_floats(attempts["scheduled_at"])
    ids: list[Any] = attempts["trial_id"].to_pylist()
    retried = {ids[i] for i in np.flatnonzero(number > 1).tolist()}
    return {
        ids[i]: float(due[i]) for i in np.flatnonzero(number == 1).tolist() if ids[i] in retried
    }


def _where(table: pa.Table, column: str, value: str) -> pa.Table:
    from evalharness.columnar.arrow_ops import where_equal

    return where_equal(table, column, value)


def _without(table: pa.Table, column: str, value: str) -> pa.Table:
    keep = np.array([item != value for item in table[column].to_pylist()], dtype=np.bool_)
    return table.filter(keep)
