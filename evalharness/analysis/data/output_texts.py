"""Outputs of records: text, refusal and tool calls, which may be numbers into a text pool.

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
from evalharness.columnar.row_store import ColumnStore
from evalharness.columnar.text_pool import OUTPUTS

if TYPE_CHECKING:
    from evalharness.columnar.text_pool import TextPool


def read_texts(frame: RunFrame, rows: Ints, column: str = "text") -> list[str | None]:
    """A text column of a few records, given by their positions in the frame."""
    if frame.lazy_columns is not None and column in frame.lazy_columns.columns:
        return frame.lazy_columns.take(column, frame.values("row")[rows].astype(np.int64))
    if column not in frame.records.column_names:
        return [None] * len(rows)
    positions = frame.rows[rows]
    if not isinstance(frame.records, ColumnStore):
        data = encode.as_chunked(frame.records[column])
        # One by one: taking from a chunked text column may have to join all of its chunks.
        return [data[int(row)].as_py() for row in positions]
    values = frame.records.take(column, positions)
    if frame.text_pool is None or column not in OUTPUTS:
        return values
    texts = iter(frame.text_pool.take([number for number in values if number is not None]))
    return [None if number is None else next(texts) for number in values]


def distinct_texts(frame: RunFrame, rows: Ints) -> Iterator[tuple[Any, Ints]]:
    """The distinct texts of some records, as Arrow arrays, with how many records have each."""
    pa, pc = encode.import_arrow()
    texts = pc.take(encode.as_chunked(frame.records["text"]), pa.array(frame.rows[rows]))
    if frame.text_pool is None:
        value_counts = texts.value_counts()
        yield value_counts.field("values"), np.asarray(value_counts.field("counts"))
        return
    if texts.null_count:
        yield pa.nulls(1, pa.string()), np.array([texts.null_count])
    counts = np.bincount(np.asarray(texts.drop_null()), minlength=len(frame.text_pool))
    for numbers, block in frame.text_pool.iter_blocks(counts > 0):
        yield block, counts[numbers]


def joined_text(frame: RunFrame, rows: Ints) -> list[str]:
    """A few records' outputs as one text each: text, then refusal, then tool calls."""
    return next(iter_joined_text(frame, [rows]))


def iter_joined_text(frame: RunFrame, groups: Sequence[Ints]) -> Iterator[list[str]]:
    """:func:`joined_text` of groups of records, of which one is in memory at a time.

    Where columns hold numbers of texts, those of all groups are looked up together, since each
    look-up goes through all pieces of a column.
    """
    ends = np.cumsum([len(rows) for rows in groups])[:-1]
    if frame.text_pool is None:
        for rows in groups:
            yield _join_parts([read_texts(frame, rows, name) for name in OUTPUTS])
        return
    columns = [_text_numbers(frame, np.concatenate(groups), name) for name in OUTPUTS]
    for parts in zip(*(np.split(column, ends) for column in columns), strict=True):
        yield _join_parts([frame.text_pool.take(numbers) for numbers in parts])


def _text_numbers(frame: RunFrame, rows: Ints, column: str) -> Ints:
    """Text numbers of a few records; 0, that of the empty text, where there is none."""
    if column not in frame.records.column_names:
        return np.zeros(len(rows), np.int64)
    numbers = frame.records.take(column, frame.rows[rows])
    return np.array([number or 0 for number in numbers], np.int64)


def _join_parts(parts: list[list[str | None]] | list[list[str]]) -> list[str]:
    return [
        "".join((text or "", refusal or "", without_call_ids(calls) if calls else ""))
        for text, refusal, calls in zip(*parts, strict=True)
    ]


def output_codes(records: Any, group: Ints, unknown: Bools, texts: TextPool | None = None) -> Ints:
    """Encode the output of each record as one code: text, refusal and tool calls together.

    An absent text is an empty one, except in rows of ``unknown``, whose code is :data:`UNKNOWN`.
    Codes compare within a group only. With ``texts`` the columns hold numbers of texts.
    """
    codes: Ints = np.zeros(len(group), np.int32)
    names = set(records.column_names)
    for name in ("text", "refusal", "tool_calls_json"):
        if name not in names:
            continue
        column = encode.as_chunked(records[name])
        if column.null_count == len(column):
            continue
        if texts is not None:
            # The empty text has the number 0.
            numbers: Ints = np.concatenate([np.asarray(c.fill_null(0)) for c in column.chunks])
            if name == "tool_calls_json":
                numbers = _call_codes(numbers, texts)
            codes = _combine_codes(codes, numbers)
            continue
        clean = _drop_call_ids if name == "tool_calls_json" else _nulls_as_empty
        codes = _combine_codes(codes, encode.text_codes(clean(column), group))
    codes[unknown] = UNKNOWN
    return codes


def _nulls_as_empty(column: Any) -> Any:
    _, pc = encode.import_arrow()
    return pc.fill_null(column, "") if column.null_count else column


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


def _drop_call_ids(column: Any) -> Any:
    """Tool calls without their random ids: what is called, with which arguments."""
    pa, _ = encode.import_arrow()
    codes, calls = encode.dictionary_encode(column)
    clean = pa.array([without_call_ids(text) for text in calls.to_pylist()], pa.string())
    return pa.chunked_array([clean.take(pa.array(codes, mask=codes == UNKNOWN))])


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


def text_lengths(table: Any, column: str, texts: TextPool | None = None) -> Floats:
    """Return the length of each text in characters; a null text, or column, has length 0."""
    _, pc = encode.import_arrow()
    if column not in table.column_names:
        return np.zeros(int(table.num_rows))
    if texts is not None:
        return texts.lengths.astype(np.float64)[
            encode.to_integers(encode.as_chunked(table[column]).fill_null(0))
        ]
    lengths = encode.to_floats(pc.utf8_length(encode.as_chunked(table[column])))
    return np.where(np.isnan(lengths), 0.0, lengths)
