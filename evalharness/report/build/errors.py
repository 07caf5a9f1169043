"""Counts of errors by cause, and of HTTP attempts by outcome."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from evalharness.analysis.data.json_values import JsonValues
from evalharness.columnar.arrow_ops import where_equal
from evalharness.columnar.row_store import ColumnStore
from evalharness.pricing.usage_columns import read_codes

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of records in addition to those of the analysis.
ERROR_COLUMNS = ("http_status", "error_kind", "error_message")
ATTEMPT_COLUMNS = ("final", "outcome", "queue_s", "backoff_s", "in_flight")
#: Columns of the attempts that were not the last of their trial.
RETRIED_COLUMNS = (
    "trial_id", "setting_id", "final", "outcome", "http_status", "error_kind", "error_message",
)  # fmt: skip
_MAX_ROWS = 50
_MESSAGE_CHARS = 300


class ErrorCount(msgspec.Struct, frozen=True, kw_only=True):
    """The trials of one setting that ended in an error of one cause.

    Attributes:
        setting_id: the setting.
        error_kind: the kind of the error; null where unknown.
        http_status: of the response; null without one.
        count: trials.
        example: the message of one of them, of the server or the connection, at most 300
            characters; null without a message.
    """

    setting_id: str
    error_kind: str | None
    http_status: int | None
    count: int
    example: str | None


class RetryCount(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts that failed from one cause and were tried again.

    Attributes:
        error_kind: the kind of the error; null where unknown.
        http_status: of the response; null without one.
        outcome: delivered, rejected, not_sent or in_doubt; null where unknown.
        count: attempts.
        example: the message of one of them, at most 300 characters; null without a message.
    """

    error_kind: str | None
    http_status: int | None
    outcome: str | None
    count: int
    example: str | None


class QueueWait(msgspec.Struct, frozen=True, kw_only=True):
    """The wait of attempts in our own queue, which is no part of a latency.

    Attributes:
        p50, p95: seconds; null where unknown.
    """

    p50: float | None
    p95: float | None


class RequestsInFlight(msgspec.Struct, frozen=True, kw_only=True):
    """The requests in flight when an attempt was sent.

    Attributes:
        mean: over attempts; null where unknown.
        max: the largest number; null where unknown.
    """

    mean: float | None
    max: int | None


class AttemptCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP attempts of a run.

    Attributes:
        total: attempts; 0 where the run was imported.
        trials_retried: trials with more than one attempt.
        outcomes: attempts by outcome (delivered, rejected, not_sent, in_doubt), commonest first.
        failed: the attempts that were tried again, by cause, commonest first, at most fifty causes.
        wait_s_total: seconds of all pauses before retries, added up.
        queue_s: the wait in our own queue.
        in_flight: the requests in flight.
    """

    total: int
    trials_retried: int
    outcomes: dict[str, int]
    failed: list[RetryCount]
    wait_s_total: float
    queue_s: QueueWait
    in_flight: RequestsInFlight


def count_errors(records: ColumnStore) -> list[ErrorCount]:
    """Count the records that are errors by setting and cause, commonest first."""
    import pyarrow as pa

    columns = ["status", "setting_id", *ERROR_COLUMNS]
    failed = [where_equal(block, "status", "error") for block in records.tables(columns)]
    causes = _group_rows(pa.concat_tables(failed), ("setting_id", "error_kind", "http_status"))
    return msgspec.convert(causes, list[ErrorCount])


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

    def counts(self, retried: pa.Table) -> AttemptCounts:
        """Return the counts of all attempts.

        Args:
            retried: :data:`RETRIED_COLUMNS` of those that were not the last of their trial.
        """
        import pyarrow.compute

        compute: Any = pyarrow.compute
        trials = compute.count_distinct(retried["trial_id"], mode="only_valid").as_py()
        known = self._with_in_flight
        causes = _group_rows(retried, ("error_kind", "http_status", "outcome"))
        return AttemptCounts(
            total=self.total,
            trials_retried=int(trials),
            outcomes={name: count for name, count in self._outcomes.most_common() if count},
            failed=msgspec.convert(causes, list[RetryCount]),
            wait_s_total=math.fsum(self._waits),
            queue_s=self._queue_wait(),
            in_flight=RequestsInFlight(
                mean=self._in_flight / known if known else None, max=self._max_in_flight
            ),
        )

    def _queue_wait(self) -> QueueWait:
        import pyarrow.compute

        compute: Any = pyarrow.compute
        p50 = p95 = None
        if self._queue.column_names:
            p50, p95 = compute.quantile(self._queue["queue_s"], [0.5, 0.95]).to_pylist()
        return QueueWait(p50=p50, p95=p95)


def _group_rows(table: pa.Table, keys: tuple[str, ...]) -> list[JsonValues]:
    """Group rows by keys: how many there are, and the message of one of them."""
    import pyarrow as pa

    filled: Any = table
    for name in (*keys, "error_message"):
        if name not in filled.column_names:  # left out because it holds nothing
            filled = filled.append_column(name, pa.nulls(len(filled), pa.string()))
    grouped = filled.group_by(list(keys)).aggregate([([], "count_all"), ("error_message", "min")])
    rows: list[JsonValues] = grouped.to_pylist()
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
