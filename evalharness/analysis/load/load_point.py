"""One measurement of a load point: what was asked for, what was achieved, and whether it counts."""

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
    Requests,
    described,
    goodput,
    metrics,
    requests_of,
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


class Sent(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The HTTP attempts of a measurement as arrays, warm-up included; seconds from the anchor.

    Attributes:
        at, end: when it was sent, and when its response was complete or its failure showed.
        due, admitted: when it was due, and when it had a place in flight and passed the limits.
        late: seconds from due to sent.
        measured: of the measured phase.
        first: the first attempt of its trial.
        failed: it delivered nothing.
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
    def of(cls, attempts: pa.Table, anchor_ns: int) -> Sent:
        """Encode the attempts that were sent, in the order of sending."""
        anchor = anchor_ns / 1e9
        column = {
            name: encode.floats(attempts[name])
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
            # In doubt without an end: it was under way for no known time.
            end=at + np.nan_to_num(column["latency_s"]),
            due=column["scheduled_at"] - anchor,
            admitted=column["admitted_at"] - anchor,
            late=column["queue_s"],
            measured=phase == Phase.MEASURED.value,
            first=column["attempt"] == 1,
            failed=status == Status.ERROR.value,
        )


class Measured(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A measurement with its rows."""

    facts: dict[str, Any]
    requests: Requests
    sent: Sent


def measure(one: Measurement, records: pa.Table, attempts: pa.Table, load: LoadConfig) -> Measured:
    """Describe a measurement.

    The window is the time for which the load was held (:class:`Measurement`); its length is T.

    * ``requested_rate``: measured requests due in the window / T (open loop).
    * ``achieved_rate``: those of them that were sent before the window's end / T.
    * ``throughput_per_s``: answers completed in the window / T, whichever phase they began in;
      nothing is drained before the window, so what flows in at its beginning stands for what
      flows out after its end.
    * ``output_tokens_per_s``: the completion tokens of those answers / T, by the server's usage;
      null where one of them has none.
    * ``concurrency.mean``: ∫ requests in flight dt / T over the window, from sending to the end of
      the response, failed ones included.
    * ``schedule_delay_s``: from being due to being sent, of first attempts.

    Args:
        one: the measurement.
        records: its records, with :data:`RECORD_COLUMNS`.
        attempts: its attempts, with :data:`ATTEMPT_COLUMNS`.
        load: the load with what judges it.
    """
    sent = Sent.of(attempts, one.anchor_ns or 0)
    measured = _where(records, "phase", Phase.MEASURED.value)
    delivered = _without(measured, "status", Status.ERROR.value)
    requests = requests_of(
        delivered, one.settings, (one.anchor_ns or 0) / 1e9, _first_due(attempts)
    )
    window = _window(one)
    slo = {k: v for k, v in msgspec.to_builtins(load.slo).items() if v is not None}
    closed = load.arrival == "closed"
    first = sent.first & sent.measured
    in_time = first & (sent.at < (one.end_s or 0.0))
    facts: dict[str, Any] = {
        "measurement": one.number,
        "load": one.load,
        "searched": one.searched,
        "state": one.state.value,
        "reason": one.reason,
        "window_s": window,
        "requests": _counts(one, records, attempts, sent, len(delivered)),
        "requested_rate": None if closed else _per(one.scheduled, window),
        "achieved_rate": _per(int(in_time.sum()), window),
        **_flow(one, records, window),
        "concurrency": {
            "asked": load.concurrency if closed else None,
            "mean": _in_flight(sent, one, window),
            "most": _most(sent),
        },
        "schedule_delay_s": described(sent.late[first]),
        "admission_delay_s": described((sent.admitted - sent.due)[first]),
        "client_lag_s": one.lag_s or None,
        **metrics(requests),
        "goodput": goodput(requests, slo, one.scheduled, window),
        "errors": _errors(attempts),
    }
    facts["invalid"] = invalid(facts, load)
    facts["valid"] = not facts["invalid"]
    return Measured(facts=facts, requests=requests, sent=sent)


def invalid(facts: dict[str, Any], load: LoadConfig) -> list[str]:
    """Why a measurement does not show what its load says; empty when it does.

    The client is at fault in all of these: it sent late or too little, or could not read the clock
    in time because its event loop was busy. What the server did is never a reason.
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
    asked, got, what = facts["requested_rate"], facts["achieved_rate"], "requests/s"
    if load.arrival == "closed":
        asked, got, what = load.concurrency, facts["concurrency"]["mean"], "in flight"
    if asked and facts["window_s"] and (got or 0.0) < load.min_rate_share * asked:
        reasons.append(
            f"{got or 0:.3g} {what} of {asked:.3g} asked for; "
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


def _tail(found: dict[str, Any]) -> tuple[float | None, str]:
    if found["n"] >= ENOUGH_FOR_P99:
        return found["p99"], "p99"
    return found["max"], f"the latest of {found['n']}"


def _window(one: Measurement) -> float | None:
    """Seconds for which the load was held; None when it never was."""
    if one.begin_s is None or one.end_s is None or one.end_s <= one.begin_s:
        return None
    return one.end_s - one.begin_s


def _per(count: float, window_s: float | None) -> float | None:
    return count / window_s if window_s else None


def _flow(one: Measurement, records: pa.Table, window: float | None) -> dict[str, Any]:
    """What came out while the load was held."""
    anchor, delivered = (one.anchor_ns or 0) / 1e9, _without(records, "status", Status.ERROR.value)
    end = encode.floats(delivered["sent_at"]) - anchor + encode.floats(delivered["latency_s"])
    inside = (end >= (one.begin_s or 0.0)) & (end < (one.end_s or 0.0))
    tokens = encode.floats(delivered["completion_tokens"])[inside]
    known = not np.isnan(tokens).any()
    return {
        "throughput_per_s": _per(int(inside.sum()), window),
        "output_tokens_per_s": _per(float(tokens.sum()), window) if known else None,
    }


def _in_flight(sent: Sent, one: Measurement, window: float | None) -> float | None:
    """Time-weighted mean of the requests in flight over the window."""
    if window is None or one.begin_s is None or one.end_s is None:
        return None
    overlap = np.minimum(sent.end, one.end_s) - np.maximum(sent.at, one.begin_s)
    return float(np.maximum(overlap, 0.0).sum() / window)


def _most(sent: Sent) -> int:
    """Most requests in flight at any moment, warm-up included."""
    if not len(sent.at):
        return 0
    moments = np.concatenate([sent.at, sent.end])
    steps = np.concatenate([np.ones(len(sent.at)), -np.ones(len(sent.end))])
    # One that ends the moment another begins makes room first.
    return int(np.cumsum(steps[np.lexsort((steps, moments))]).max())


def _counts(
    one: Measurement, records: pa.Table, attempts: pa.Table, sent: Sent, delivered: int
) -> dict[str, int]:
    measured = _where(records, "phase", Phase.MEASURED.value)
    return {
        "scheduled": one.scheduled,
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
    number = encode.floats(attempts["attempt"])
    if not (number > 1).any():
        return {}
    due = encode.floats(attempts["scheduled_at"])
    ids: list[Any] = attempts["trial_id"].to_pylist()
    again = {ids[i] for i in np.flatnonzero(number > 1).tolist()}
    return {ids[i]: float(due[i]) for i in np.flatnonzero(number == 1).tolist() if ids[i] in again}


def _where(table: pa.Table, column: str, value: str) -> pa.Table:
    from evalharness.columnar.arrow_ops import where_equal

    return where_equal(table, column, value)


def _without(table: pa.Table, column: str, value: str) -> pa.Table:
    keep = np.array([found != value for found in table[column].to_pylist()], dtype=np.bool_)
    return table.filter(keep)
