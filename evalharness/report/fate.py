"""What became of requests: errors by cause, attempts by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.arrow import only, where_equal
from evalharness.pricing.arrow import read_codes
from evalharness.schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

#: Record columns read here, beside what the analysis reads.
ERROR_COLUMNS = ("http_status", "error_kind", "error_message")
ATTEMPT_COLUMNS = ("final", "outcome", "queue_s", "wait_s", "in_flight")
#: Columns that are read of the attempts that were not the last of their trial.
AGAIN_COLUMNS = ("trial_id", "final", "outcome", "http_status", "error_kind", "error_message")
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


def attempts(table: pa.Table, again: pa.Table) -> dict[str, Any]:
    """Describe the HTTP attempts of a run.

    Args:
        table: :data:`ATTEMPT_COLUMNS` of all attempts.
        again: :data:`AGAIN_COLUMNS` of those that were not the last of their trial.

    Returns:
        ``made``; ``trials_retried``; ``outcomes`` (delivered, rejected, not_sent, in_doubt);
        ``failed``, the attempts that were tried again, by ``error_kind``, ``http_status`` and
        ``outcome`` with ``count`` and ``example``; ``wait_s_total`` paused before retries;
        ``queue_s`` (p50, p95 of the wait in our own queue) and ``in_flight`` (mean, max), null
        where unknown.
    """
    import pyarrow.compute

    compute: Any = pyarrow.compute
    names, codes = read_codes(table, "outcome")
    counts = np.bincount(codes, minlength=len(names)).tolist()
    in_flight = _column(table, "in_flight")
    return {
        "made": len(table),
        "trials_retried": int(compute.count_distinct(_column(again, "trial_id")).as_py() or 0),
        "outcomes": {
            name: count
            for count, name in sorted(zip(counts, names, strict=True), key=lambda one: -one[0])
            if count
        },
        "failed": _grouped(again, ("error_kind", "http_status", "outcome")),
        "wait_s_total": compute.sum(_column(table, "wait_s")).as_py() or 0.0,
        "queue_s": _quantiles(_column(table, "queue_s")),
        "in_flight": {
            "mean": compute.mean(in_flight).as_py(),
            "max": compute.max(in_flight).as_py(),
        },
    }


def _column(table: pa.Table, name: str) -> Any:
    """A column of attempts; an empty one where it was left out because it holds nothing."""
    if name in table.column_names:
        return table[name]
    return only(arrow_schema("attempts"), [name]).empty_table()[name]


def _quantiles(column: Any) -> dict[str, Any]:
    import pyarrow.compute

    compute: Any = pyarrow.compute
    p50, p95 = compute.quantile(column, [0.5, 0.95]).to_pylist()
    return {"p50": p50, "p95": p95}


def _grouped(table: pa.Table, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows by their keys with a count and a message of one of them."""
    import pyarrow as pa

    whole: Any = table
    for name in (*keys, "error_message"):
        if name not in whole.column_names:  # left out because it holds nothing
            whole = whole.append_column(name, pa.nulls(len(whole), pa.string()))
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
