"""Columns of a records table as arrays: counts, money, groups of rows that share a price."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import DictionaryEncoder
from evalharness.pricing.cost_formula import TokenKinds
from evalharness.records import Usage

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Columns of a records table that are read here. Absent ones count as null.
COLUMNS = (
    "setting_id", "provider", "model", "status", "sent_at", "prompt_tokens", "completion_tokens",
    "total_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_prompt_tokens", "audio_completion_tokens", "billed_usd",
    "cost_usd_imported", "batch_id",
)  # fmt: skip
_DAY_NS = 86_400 * 10**9
_EPOCH = date(1970, 1, 1)


class CountColumn(NamedTuple):
    """A nullable integer column: values (0 where null) and where they are known."""

    value: Ints
    known: Bools


class UsageColumns(NamedTuple):
    """Token counts of some rows; ``audio`` marks rows with audio tokens."""

    prompt: CountColumn
    completion: CountColumn
    total: CountColumn
    cached: CountColumn
    cache_write: CountColumn
    reasoning: CountColumn
    cache_write_1h: CountColumn
    audio: Bools

    def kinds(self) -> TokenKinds[CountColumn]:
        """The counts that have a price."""
        return TokenKinds(
            prompt=self.prompt,
            cached=self.cached,
            cache_write=self.cache_write,
            completion=self.completion,
            reasoning=self.reasoning,
            cache_write_1h=self.cache_write_1h,
        )

    def row(self, row: int) -> Usage:
        """The counts of a row."""
        names = self._fields[:-1]
        counts = {
            f"{name}_tokens": int(column.value[row]) if column.known[row] else None
            for name, column in zip(names, self[:-1], strict=True)
        }
        return Usage(**counts, audio_prompt_tokens=int(self.audio[row]))

    def take(self, rows: Ints) -> UsageColumns:
        """The counts of the given row numbers."""
        counts = (CountColumn(count.value[rows], count.known[rows]) for count in self[:-1])
        return UsageColumns(*counts, audio=self.audio[rows])


class MoneyColumn(NamedTuple):
    """A nullable money column in pico-dollars, as the two words of a 128-bit integer."""

    low: NDArray[np.uint64]
    high: Ints
    known: Bools

    def take(self, rows: Ints) -> MoneyColumn:
        """The amounts of the given row numbers."""
        return MoneyColumn(self.low[rows], self.high[rows], self.known[rows])


def _column(records: pa.Table, name: str) -> Any:
    return records.column(name).combine_chunks() if name in records.column_names else None


def _counts(records: pa.Table, name: str) -> CountColumn:
    column = _column(records, name)
    if column is None:
        return CountColumn(
            np.zeros(records.num_rows, np.int64), np.zeros(records.num_rows, np.bool_)
        )
    known = column.is_valid().to_numpy(zero_copy_only=False)
    return CountColumn(column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64), known)


def read_usage(records: pa.Table) -> UsageColumns:
    """The token counts of every row."""
    audio = [
        _counts(records, name).value > 0
        for name in ("audio_prompt_tokens", "audio_completion_tokens")
    ]
    return UsageColumns(
        prompt=_counts(records, "prompt_tokens"),
        completion=_counts(records, "completion_tokens"),
        total=_counts(records, "total_tokens"),
        cached=_counts(records, "cached_tokens"),
        cache_write=_counts(records, "cache_write_tokens"),
        reasoning=_counts(records, "reasoning_tokens"),
        cache_write_1h=_counts(records, "cache_write_1h_tokens"),
        audio=audio[0] | audio[1],
    )


def read_money(records: pa.Table, name: str) -> MoneyColumn:
    """A money column. Its type, decimal128 with 12 decimals, holds pico-dollars as two words."""
    column = _column(records, name)
    rows = records.num_rows
    if column is None or rows == 0:
        zeros = np.zeros(rows, np.int64)
        return MoneyColumn(zeros.astype(np.uint64), zeros, np.zeros(rows, np.bool_))
    if column.type.scale != 12:
        raise ValueError(f"{name} must have 12 decimals, has type {column.type}")
    known = column.is_valid().to_numpy(zero_copy_only=False)
    words = np.frombuffer(column.buffers()[1], dtype="<i8")[2 * column.offset :][: 2 * rows]
    low, high = words[0::2], words[1::2]
    return MoneyColumn(
        np.where(known, low, 0).astype(np.int64).view(np.uint64), np.where(known, high, 0), known
    )


def read_codes(records: pa.Table, name: str) -> tuple[list[Any], Ints]:
    """Distinct values of a text column (None for null), and each row's index into them."""
    column = _column(records, name)
    if column is None:
        return [None] if records.num_rows else [], np.zeros(records.num_rows, np.int64)
    encoder = DictionaryEncoder()
    codes = encoder.codes(column).astype(np.int64)
    values = [*encoder.values, None]  # null's code is -1, the last index
    codes[codes < 0] = len(values) - 1
    # Only the values that some row has: a dictionary may hold others.
    used = np.flatnonzero(np.bincount(codes, minlength=len(values)))
    new_code = np.zeros(len(values), np.int64)
    new_code[used] = np.arange(len(used))
    return [values[code] for code in used.tolist()], new_code[codes]


def is_delivered(records: pa.Table) -> Bools:
    """Where an answer was delivered: the status is not ``error``."""
    values, codes = read_codes(records, "status")
    return np.array([value != "error" for value in values], np.bool_)[codes]


class PriceKey(NamedTuple):
    """What prices are looked up by; ``day`` None is unknown."""

    provider: str | None
    model: str | None
    day: date | None
    in_batch: bool


def is_in_batch(records: pa.Table) -> Bools:
    """Which rows are of requests in a batch."""
    column = _column(records, "batch_id")
    if column is None:
        return np.zeros(records.num_rows, np.bool_)
    return column.is_valid().to_numpy(zero_copy_only=False)


def group_by_price_key(
    records: pa.Table, at: date | None, *, as_live: bool = False
) -> list[tuple[PriceKey, Ints]]:
    """Row numbers by the key that prices are looked up by; ``at`` is the day where it is unknown.

    With ``as_live``, requests in a batch count as such that were sent alone.
    """
    providers, provider = read_codes(records, "provider")
    models, model = read_codes(records, "model")
    days = _day_numbers(records)
    if not records.num_rows:
        return []
    first_day = int(days.min())
    span = int(days.max()) - first_day + 1
    in_batch = np.zeros(records.num_rows, np.bool_) if as_live else is_in_batch(records)
    code = 2 * ((provider * len(models) + model) * span + (days - first_day)) + in_batch
    groups: list[tuple[PriceKey, Ints]] = []
    for rows in _rows_by_code(code):
        row = rows[0]
        number = int(days[row])
        day = at if number < 0 else _EPOCH + timedelta(days=number)
        key = PriceKey(providers[provider[row]], models[model[row]], day, bool(in_batch[row]))
        groups.append((key, rows))
    return groups


def _rows_by_code(code: Ints) -> list[Ints]:
    """Row numbers of each distinct code, by rising code."""
    if int(code.min()) == int(code.max()):
        return [np.arange(len(code))]
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=code[order[0]] - 1))
    return np.split(order, starts[1:])


def _day_numbers(records: pa.Table) -> Ints:
    """Days since 1970 in UTC; −1 where the time is unknown."""
    import pyarrow as pa

    column = _column(records, "sent_at")
    if column is None:
        return np.full(records.num_rows, -1, np.int64)
    instants = column.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    known = instants.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known, instants.fill_null(0).to_numpy() // _DAY_NS, -1)
