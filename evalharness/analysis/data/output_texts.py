"""Outputs of records: text, refusal and tool calls, which are numbers of texts.

Nothing here loops over rows in Python, except over distinct tool calls (JSON whose random call ids
must not count as a difference).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from evalharness.analysis.data import encode
from evalharness.analysis.data.encode import UNKNOWN, Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.columnar.hash_table import Hashes, splitmix64
from evalharness.columnar.record_store import OUTPUTS, RecordStore

if TYPE_CHECKING:
    from evalharness.columnar.text_pool import TextPool


def read_texts(frame: RunFrame, rows: Ints, column: str = "text") -> list[str | None]:
    """A text column of a few records, given by their positions in the frame."""
    if frame.lazy_columns is not None and column in frame.lazy_columns.columns:
        return frame.lazy_columns.take(column, frame.values("row")[rows].astype(np.int64))
    return frame.records.take(column, frame.rows[rows])


def distinct_texts(frame: RunFrame, rows: Ints) -> Iterator[tuple[Any, Ints]]:
    """The distinct texts of some records, as Arrow arrays, with how many records have each."""
    pa, _ = encode.import_arrow()
    numbers = frame.records.codes("text")[frame.rows[rows]]
    nulls = int(np.count_nonzero(numbers == UNKNOWN))
    if nulls:
        yield pa.nulls(1, pa.string()), np.array([nulls])
    texts = frame.records.texts
    counts = np.bincount(numbers[numbers != UNKNOWN], minlength=len(texts))
    for some, block in texts.iter_blocks(counts > 0):
        yield block, counts[some]


def joined_text(frame: RunFrame, rows: Ints) -> list[str]:
    """A few records' outputs as one text each: text, then refusal, then tool calls."""
    return next(iter_joined_text(frame, [rows]))


def output_hashes(frame: RunFrame, rows: Ints) -> Hashes:
    """64 bits of the hash of each record's output: equal in all runs where the outputs are.

    The output is the text, the refusal, and the tool calls without their ids, each empty where
    there is none.
    """
    texts, taken = frame.records.texts, frame.rows[rows]
    short = texts.short_hashes
    hashes = np.zeros(len(rows), np.uint64)
    for name in OUTPUTS:
        numbers = np.maximum(frame.records.codes(name)[taken], 0)  # 0 is the empty text
        calls = name == "tool_calls_json"
        hashes = splitmix64(hashes ^ (_call_hashes(numbers, texts) if calls else short[numbers]))
    return hashes


def _call_hashes(numbers: Ints, texts: TextPool) -> Hashes:
    """Hashes of tool calls without their ids, from the numbers of their texts."""
    from xxhash import xxh3_64_intdigest

    distinct, inverse = np.unique(numbers, return_inverse=True)
    clean = [without_call_ids(text) if text else "" for text in texts.take(distinct)]
    return np.array([xxh3_64_intdigest(text.encode()) for text in clean], np.uint64)[inverse]


def iter_joined_text(frame: RunFrame, groups: Sequence[Ints]) -> Iterator[list[str]]:
    """:func:`joined_text` of groups of records, of which one is in memory at a time.

    The numbers of the texts of all groups are looked up together, since each look-up goes through
    all pieces of a column.
    """
    ends = np.cumsum([len(rows) for rows in groups])[:-1]
    rows = frame.rows[np.concatenate(groups)]
    columns = [frame.records.take_numbers(name, rows) for name in OUTPUTS]
    for parts in zip(*(np.split(column, ends) for column in columns), strict=True):
        yield _join_parts([frame.records.texts.take(numbers) for numbers in parts])


def _join_parts(parts: list[list[str]]) -> list[str]:
    return [
        "".join((text, refusal, without_call_ids(calls) if calls else ""))
        for text, refusal, calls in zip(*parts, strict=True)
    ]


def output_codes(records: RecordStore, delivered: Bools) -> Ints:
    """Encode the output of each record as one code: text, refusal and tool calls together.

    An absent text is an empty one, but a record of ``delivered`` without any of the three has an
    unknown output (:data:`UNKNOWN`).
    """
    codes: Ints = np.zeros(records.num_rows, np.int32)
    unknown = delivered.copy()
    present = set(records.column_names)
    for name in OUTPUTS:
        if name not in present:
            continue
        numbers: Ints = records.codes(name)
        unknown &= numbers == UNKNOWN
        numbers = np.maximum(numbers, 0)  # the empty text has the number 0
        if name == "tool_calls_json":
            numbers = _call_codes(numbers, records.texts)
        codes = _combine_codes(codes, numbers)
    codes[unknown] = UNKNOWN
    return codes


def _combine_codes(left: Ints, right: Ints) -> Ints:
    """One code for each pair of codes, in the order of the pairs; ``right`` is mostly 0."""
    if not left.any():
        return right + 1
    rows = np.flatnonzero(right)
    distinct, rank = np.unique(right[rows], return_inverse=True)
    codes = left.astype(np.int64)
    codes *= len(distinct) + 1
    codes[rows] += rank + 1
    return encode.narrow(codes)


def _call_codes(numbers: Ints, texts: TextPool) -> Ints:
    """Codes of tool calls without their ids, from the numbers of their texts."""
    distinct, inverse = np.unique(numbers, return_inverse=True)
    clean = [without_call_ids(text) for text in texts.take(distinct)]
    return np.unique(clean, return_inverse=True)[1].astype(np.int64)[inverse]


def without_call_ids(text: str) -> str:
    """Return tool calls (JSON) without their ids; text that is not a JSON list, unchanged."""
    try:
        calls = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if not isinstance(calls, list):
        return text
    clean: list[Any] = []
    for call in cast("list[Any]", calls):
        if isinstance(call, dict):
            fields = cast("dict[str, Any]", call)
            clean.append({key: value for key, value in fields.items() if key != "id"})
        else:
            clean.append(call)
    return msgspec.json.encode(clean).decode()


def text_lengths(records: RecordStore, column: str) -> Floats:
    """Return the length of each text in characters; a null text, or column, has length 0."""
    lengths = records.texts.lengths.astype(np.float64)
    return lengths[np.maximum(records.codes(column), 0)]
