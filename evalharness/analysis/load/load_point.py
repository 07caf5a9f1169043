"""One measurement of a load point: requested load, achieved load, and whether it is valid."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import Bools, Floats
from evalharness.analysis.latency import ENOUGH_FOR_P99
from evalharness.analysis.load.load_metrics import (
    COLUMNS,
    DeliveredRequests,
    delivered_requests,
    goodput,
    summarize,
    time_metrics,
)
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


class SentAttempts(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The HTTP attempts of a measurement as arrays, warm-up included; seconds from the anchor.

    Attributes:
        at, end: when it was sent, and when its response was complete or it failed.
        due, admitted: when it was due, and when all limits admitted it.
        late: seconds from due to sent.
        measured: whether it belongs to the measured phase.
        first: whether it is the first attempt of its trial.
        failed: whether it ended in an error.
    """

    at: Floats
    end: Floats
    due: Floats
    admitted: Floats
    late: Floats
    measured: Bools
    first: Bools
    failed: Bools

    @classmethod
    def of(cls, attempts: pa.Table, anchor_ns: int) -> SentAttempts:
        """Encode the attempts that were sent, in the order of sending."""
        anchor = anchor_ns / 1e9
        column = {
            name: encode.to_floats(attempts[name])
            for name in ("sent_at", "latency_s", "scheduled_at", "admitted_at", "queue_s",
                         "attempt")
        }  # fmt: skip
        rows = np.flatnonzero(~np.isnan(column["sent_at"]))
        rows = rows[np.argsort(column["sent_at"][rows], kind="stable")]
        column = {name: values[rows] for name, values in column.items()}
        phase = np.array(attempts["phase"].to_pylist(), dtype=object)[rows]
        status = np.array(attempts["status"].to_pylist(), dtype=object)[rows]
        at = column["sent_at"] - anchor
        return cls(
            at=at,
            # An attempt in doubt has no end: its time in flight is unknown and counts as 0.
            end=at + np.nan_to_num(column["latency_s"]),
            due=column["scheduled_at"] - anchor,
            admitted=column["admitted_at"] - anchor,
            late=column["queue_s"],
            measured=phase == Phase.MEASURED.value,
            first=column["attempt"] == 1,
            failed=status == Status.ERROR.value,
        )


class LoadPointResult(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The facts of a measurement, and the arrays they are computed from."""

    facts: dict[str, Any]
    requests: DeliveredRequests
    sent: SentAttempts


def describe_load_point(
    measurement: Measurement, records: pa.Table, attempts: pa.Table, load: LoadConfig
) -> LoadPointResult:
    """Describe a measurement.

    The window is the time for which the load was held (:class:`Measurement`); its length is T.

    * ``requested_rate``: measured requests due in the window / T (open loop).
    * ``achieved_rate``: those of them that were sent before the window's end / T.
    * ``throughput_per_s``: answers completed in the window / T, from whichever phase;
      requests sent before the window that complete in it stand for those sent in the window that
      complete after it.
    * ``output_tokens_per_s``: the completion tokens of those answers / T, by the server's usage;
      null where one of them has none.
    * ``concurrency.mean``: ∫ requests in flight dt / T over the window, from sending to the end of
      the response, failed ones included.
    * ``schedule_delay_s``: from being due to being sent, of first attempts.

    Args:
        measurement: the measurement.
        records: its records, with :data:`RECORD_COLUMNS`.
        attempts: its attempts, with :data:`ATTEMPT_COLUMNS`.
        load: the load and the limits it is judged by.
    """
    sent = SentAttempts.of(attempts, measurement.anchor_ns or 0)
    measured = _where(records, "phase", Phase.MEASURED.value)
    delivered = _without(measured, "status", Status.ERROR.value)
    requests = delivered_requests(
        delivered, measurement.settings, (measurement.anchor_ns or 0) / 1e9, _first_due(attempts)
    )
    window = _window(measurement)
    slo = {k: v for k, v in msgspec.to_builtins(load.slo).items() if v is not None}
    closed = load.arrival == "closed"
    first = sent.first & sent.measured
    in_time = first & (sent.at < (measurement.end_s or 0.0))
    facts: dict[str, Any] = {
        "measurement": measurement.number,
        "load": measurement.load,
        "searched": measurement.searched,
        "state": measurement.state.value,
        "reason": measurement.reason,
        "window_s": window,
        "requests": _request_counts(measurement, records, attempts, sent, len(delivered)),
        "requested_rate": None if closed else _rate(measurement.scheduled, window),
        "achieved_rate": _rate(int(in_time.sum()), window),
        **_throughput(measurement, records, window),
        "concurrency": {
            "asked": load.concurrency if closed else None,
            "mean": _mean_in_flight(sent, measurement, window),
            "most": _max_in_flight(sent),
        },
        "schedule_delay_s": summarize(sent.late[first]),
        "admission_delay_s": summarize((sent.admitted - sent.due)[first]),
        "client_lag_s": measurement.lag_s or None,
        **time_metrics(requests),
        "goodput": goodput(requests, slo, measurement.scheduled, window),
        "errors": _errors(attempts),
    }
    facts["invalid"] = invalid_reasons(facts, load)
    facts["valid"] = not facts["invalid"]
    return LoadPointResult(facts=facts, requests=requests, sent=sent)


def invalid_reasons(facts: dict[str, Any], load: LoadConfig) -> list[str]:
    """Why a measurement does not represent its load; empty when it does.

    Each reason is a fault of the client: it sent late or too little, or its event loop was busy, so
    that its clock readings are late. What the server did is never a reason.
    """
    reasons: list[str] = []
    delay = facts["schedule_delay_s"]
    worst, name = _tail(delay)
    if load.arrival != "closed" and worst is not None and worst > load.max_delay_s:
        waited, _ = _tail(facts["admission_delay_s"])
        where = ", mostly before it had a place in flight" if (waited or 0) > worst / 2 else ""
        reasons.append(
            f"requests were sent {worst:.3g} s after they were due ({name}{where}); "
            f"load.max_delay_s={load.max_delay_s:g}"
        )
    requested, achieved, unit = facts["requested_rate"], facts["achieved_rate"], "requests/s"
    if load.arrival == "closed":
        requested, achieved, unit = load.concurrency, facts["concurrency"]["mean"], "in flight"
    if requested and facts["window_s"] and (achieved or 0.0) < load.min_rate_share * requested:
        reasons.append(
            f"{achieved or 0:.3g} {unit} of {requested:.3g} asked for; "
            f"load.min_rate_share={load.min_rate_share:g}"
        )
    if not facts["window_s"]:
        reasons.append("the load was never held: more requests or seconds are needed")
    lag: float | None = facts["client_lag_s"] and facts["client_lag_s"].get("p99")
    if lag is not None and lag > load.max_delay_s:
        reasons.append(
            f"the client's event loop was {lag:.3g} s late (p99): its times are too long"
        )
    return reasons


def _tail(summary: dict[str, Any]) -> tuple[float | None, str]:
    """The largest figure that is worth naming, and its name: the p99, or the maximum of few."""
    if summary["n"] >= ENOUGH_FOR_P99:
        return summary["p99"], "p99"
    return summary["max"], f"the latest of {summary['n']}"


def _window(measurement: Measurement) -> float | None:
    """Seconds for which the load was held; None when it never was."""
    begin, end = measurement.begin_s, measurement.end_s
    return None if begin is None or end is None or end <= begin else end - begin


def _rate(count: float, window_s: float | None) -> float | None:
    return count / window_s if window_s else None


def _throughput(
    measurement: Measurement, records: pa.Table, window: float | None
) -> dict[str, Any]:
    """Answers and tokens per second while the load was held."""
    anchor, delivered = (
        (measurement.anchor_ns or 0) / 1e9,
        _without(records, "status", Status.ERROR.value),
    )
    end = encode.to_floats(delivered["sent_at"]) - anchor + encode.to_floats(delivered["latency_s"])
    inside = (end >= (measurement.begin_s or 0.0)) & (end < (measurement.end_s or 0.0))
    tokens = encode.to_floats(delivered["completion_tokens"])[inside]
    known = not np.isnan(tokens).any()
    return {
        "throughput_per_s": _rate(int(inside.sum()), window),
        "output_tokens_per_s": _rate(float(tokens.sum()), window) if known else None,
    }


def _mean_in_flight(
    sent: SentAttempts, measurement: Measurement, window: float | None
) -> float | None:
    """Time-weighted mean of the requests in flight over the window."""
    if window is None or measurement.begin_s is None or measurement.end_s is None:
        return None
    overlap = np.minimum(sent.end, measurement.end_s) - np.maximum(sent.at, measurement.begin_s)
    return float(np.maximum(overlap, 0.0).sum() / window)


def _max_in_flight(sent: SentAttempts) -> int:
    """Most requests in flight at any moment, warm-up included."""
    if not len(sent.at):
        return 0
    moments = np.concatenate([sent.at, sent.end])
    steps = np.concatenate([np.ones(len(sent.at)), -np.ones(len(sent.end))])
    # A request that ends when another begins is counted out first.
    return int(np.cumsum(steps[np.lexsort((steps, moments))]).max())


def _request_counts(
    measurement: Measurement,
    records: pa.Table,
    attempts: pa.Table,
    sent: SentAttempts,
    delivered: int,
) -> dict[str, int]:
    measured = _where(records, "phase", Phase.MEASURED.value)
    return {
        "scheduled": measurement.scheduled,
        "sent": int((sent.first & sent.measured).sum()),
        "delivered": delivered,
        "failed": len(measured) - delivered,
        "retries": int((~sent.first & sent.measured).sum()),
        "warmup": int((sent.first & ~sent.measured).sum()),
        "not_sent": len(attempts) - len(sent.at),
    }


def _errors(attempts: pa.Table) -> list[dict[str, Any]]:
    """Failed attempts of the measured phase by cause, commonest first."""
    measured = _where(attempts, "phase", Phase.MEASURED.value)
    failed = _where(measured, "status", Status.ERROR.value)
    rows = zip(failed["error_kind"].to_pylist(), failed["http_status"].to_pylist(), strict=True)
    return [
        {"error_kind": kind, "http_status": status, "attempts": count}
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
