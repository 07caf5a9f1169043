"""What became of requests: errors by cause, attempts by outcome."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from evalharness.arrow import where_equal

if TYPE_CHECKING:
    import pyarrow as pa

#: Record columns read here, beside what the analysis reads.
ERROR_COLUMNS = ("http_status", "error_kind", "error_message")
ATTEMPT_COLUMNS = ("trial_id", "attempt", "final", "outcome", "http_status", "error_kind",
                   "error_message", "queue_s", "wait_s", "in_flight")  # fmt: skip
_LISTED = 50
_MESSAGE_CHARS = 300


def errors(records: pa.Table) -> list[dict[str, Any]]:
    """Count the records that are errors, commonest cause first.

    Returns:
        One a setting and cause: ``setting_id``, ``error_kind``, ``http_status``, ``count`` and
        ``example``, a message of the server or the connection (at most 300 characters).
    """
    failed = where_equal(records, "status", "error")
    keys = ("setting_id", "error_kind", "http_status")
    return _grouped(failed, keys)


def attempts(table: pa.Table) -> dict[str, Any]:
    """Describe the HTTP attempts of a run.

    Returns:
        ``made``; ``trials_retried``; ``outcomes`` (delivered, rejected, not_sent, in_doubt);
        ``failed``, the attempts that were tried again, by ``error_kind``, ``http_status`` and
        ``outcome`` with ``count`` and ``example``; ``wait_s_total`` paused before retries;
        ``queue_s`` (p50, p95 of the wait in our own queue) and ``in_flight`` (mean, max), null
        where unknown.
    """
    import pyarrow.compute

    compute: Any = pyarrow.compute
    again = table.filter(compute.invert(table["final"]))
    return {
        "made": len(table),
        "trials_retried": int(compute.count_distinct(again["trial_id"]).as_py() or 0),
        "outcomes": dict(Counter(table["outcome"].to_pylist()).most_common()),
        "failed": _grouped(again, ("error_kind", "http_status", "outcome")),
        "wait_s_total": compute.sum(table["wait_s"]).as_py() or 0.0,
        "queue_s": _quantiles(table["queue_s"]),
        "in_flight": {
            "mean": compute.mean(table["in_flight"]).as_py(),
            "max": compute.max(table["in_flight"]).as_py(),
        },
    }


def _quantiles(column: Any) -> dict[str, Any]:
    import pyarrow.compute

    compute: Any = pyarrow.compute
    p50, p95 = compute.quantile(column, [0.5, 0.95]).to_pylist()
    return {"p50": p50, "p95": p95}


def _grouped(table: pa.Table, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows by their keys with a count and a message of one of them."""
    whole: Any = table
    counted = whole.group_by(list(keys)).aggregate([([], "count_all"), ("error_message", "min")])
    rows: list[dict[str, Any]] = counted.to_pylist()
    rows.sort(key=lambda row: (-row["count_all"], *(str(row[key]) for key in keys)))
    return [
        {
            **{key: row[key] for key in keys},
            "count": row["count_all"],
            "example": _shortened(row["error_message_min"]),
        }
        for row in rows[:_LISTED]
    ]


def _shortened(message: str | None) -> str | None:
    if message is None or len(message) <= _MESSAGE_CHARS:
        return message
    return message[: _MESSAGE_CHARS - 1] + "…"
