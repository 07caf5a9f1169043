"""Counts of errors by cause, and of HTTP attempts by outcome."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.columnar.arrow_ops import where_equal
from evalharness.columnar.row_store import ColumnStore, iter_tables
from evalharness.pricing.usage_columns import read_codes

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of records in addition to those of the analysis.
ERROR_COLUMNS = ("http_status", "error_kind", "error_message")
ATTEMPT_COLUMNS = ("final", "outcome", "queue_s", "backoff_s", "in_flight")
#: Columns of the attempts that were not the last of their trial.
RETRIED_COLUMNS = ("trial_id", "final", "outcome", "http_status", "error_kind", "error_message")
_MAX_ROWS = 50
_MESSAGE_CHARS = 300


def count_errors(records: pa.Table | ColumnStore) -> list[dict[str, Any]]:
    """Count the records that are errors, commonest cause first.

    Returns:
        One a setting and cause: ``setting_id``, ``error_kind``, ``http_status``, ``count`` and
        ``example``, a message of the server or the connection (at most 300 characters).
    """
    import pyarrow as pa

    columns = ["status", "setting_id", *ERROR_COLUMNS]
    failed = [where_equal(block, "status", "error") for block in iter_tables(records, columns)]
    return _group_rows(pa.concat_tables(failed), ("setting_id", "error_kind", "http_status"))


class AttemptCounter:
    """Counts the HTTP attempts of a run, block by block.

    Attributes:
        total: attempts counted so far.
    """

    def __init__(self) -> None:
        self.total = 0
        self._outcomes: Counter[str] = Counter()
        self._waits: list[float] = []
        self._queue = ColumnStore()
        self._in_flight = self._with_in_flight = 0
        self._max_in_flight: int | None = None

    def add(self, table: pa.Table) -> None:
        """Count some attempts, with :data:`ATTEMPT_COLUMNS`."""
        import pyarrow.compute

        compute: Any = pyarrow.compute
        self.total += len(table)
        names, codes = read_codes(table, "outcome")
        counts = np.bincount(codes, minlength=len(names)).tolist()
        self._outcomes.update(dict(zip(names, counts, strict=True)))
        self._waits += [wait for wait in table["backoff_s"].drop_null().to_pylist() if wait]
        self._queue.add(table.select(["queue_s"]), {})
        in_flight = table["in_flight"]
        self._in_flight += compute.sum(in_flight).as_py() or 0
        self._with_in_flight += len(in_flight) - in_flight.null_count
        maxima = [self._max_in_flight, compute.max(in_flight).as_py()]
        self._max_in_flight = max((m for m in maxima if m is not None), default=None)

    @property
    def in_doubt(self) -> int:
        """Attempts of unknown outcome."""
        return self._outcomes["in_doubt"]

    def facts(self, retried: pa.Table) -> dict[str, Any]:
        """Return the counts of all attempts.

        Args:
            retried: :data:`RETRIED_COLUMNS` of those that were not the last of their trial.

        Returns:
            ``made``; ``trials_retried``; ``outcomes`` (delivered, rejected, not_sent, in_doubt);
            ``failed``, the attempts that were tried again, by ``error_kind``, ``http_status`` and
            ``outcome`` with ``count`` and ``example``; ``wait_s_total``, the sum of the pauses
            before retries; ``queue_s`` (p50, p95 of the wait in our own queue) and ``in_flight``
            (mean, max), null where unknown.
        """
        import pyarrow.compute

        compute: Any = pyarrow.compute
        trials = compute.count_distinct(retried["trial_id"], mode="only_valid").as_py()
        known = self._with_in_flight
        return {
            "made": self.total,
            "trials_retried": int(trials),
            "outcomes": {name: count for name, count in self._outcomes.most_common() if count},
            "failed": _group_rows(retried, ("error_kind", "http_status", "outcome")),
            "wait_s_total": math.fsum(self._waits),
            "queue_s": self._queue_wait(),
            "in_flight": {
                "mean": self._in_flight / known if known else None,
                "max": self._max_in_flight,
            },
        }

    def _queue_wait(self) -> dict[str, Any]:
        import pyarrow.compute

        compute: Any = pyarrow.compute
        p50 = p95 = None
        if self._queue.column_names:
            p50, p95 = compute.quantile(self._queue["queue_s"], [0.5, 0.95]).to_pylist()
        return {"p50": p50, "p95": p95}


def _group_rows(table: pa.Table, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Group rows by keys: how many there are, and the message of one of them."""
    import pyarrow as pa

    filled: Any = table
    for name in (*keys, "error_message"):
        if name not in filled.column_names:  # left out because it holds nothing
            filled = filled.append_column(name, pa.nulls(len(filled), pa.string()))
    grouped = filled.group_by(list(keys)).aggregate([([], "count_all"), ("error_message", "min")])
    rows: list[dict[str, Any]] = grouped.to_pylist()
    rows.sort(key=lambda row: (-row["count_all"], *(str(row[key]) for key in keys)))
    return [
        {
            **{key: row[key] for key in keys},
            "count": row["count_all"],
            "example": _shorten(row["error_message_min"]),
        }
        for row in rows[:_MAX_ROWS]
    ]


def _shorten(message: str | None) -> str | None:
    if message is None or len(message) <= _MESSAGE_CHARS:
        return message
    return message[: _MESSAGE_CHARS - 1] + "…"
