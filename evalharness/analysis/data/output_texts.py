"""What records say: text, refusal and tool calls, which may be held as numbers of texts.

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
from evalharness.columnar.row_store import Held
from evalharness.columnar.text_pool import OUTPUTS

if TYPE_CHECKING:
    from evalharness.analysis.data.frame import Frame
    from evalharness.columnar.text_pool import Texts


def texts(frame: Frame, rows: Ints, column: str) -> list[str | None]:
    """Texts of a few records, given by their places in the frame's order."""
    if frame.wide is not None and column in frame.wide.columns:
        return frame.wide.take(column, frame.values("row")[rows].astype(np.int64))
    if column not in frame.records.column_names:
        return [None] * len(rows)
    places = frame.rows[rows]
    if not isinstance(frame.records, Held):
        data = encode.chunked(frame.records[column])
        # One by one: taking from a chunked text column may have to join all of its chunks.
        return [data[int(row)].as_py() for row in places]
    values = frame.records.take(column, places)
    if frame.held is None or column not in OUTPUTS:
        return values
    found = iter(frame.held.take([number for number in values if number is not None]))
    return [None if number is None else next(found) for number in values]


def counted_texts(frame: Frame, rows: Ints) -> Iterator[tuple[Any, Ints]]:
    """The distinct texts of some records, as Arrow arrays, with how many records have each."""
    pa, pc = encode.arrow()
    chosen = pc.take(encode.chunked(frame.records["text"]), pa.array(frame.rows[rows]))
    if frame.held is None:
        counted = chosen.value_counts()
        yield counted.field("values"), np.asarray(counted.field("counts"))
        return
    if chosen.null_count:
        yield pa.nulls(1, pa.string()), np.array([chosen.null_count])
    counts = np.bincount(np.asarray(chosen.drop_null()), minlength=len(frame.held))
    for numbers, found in frame.held.blocks(counts > 0):
        yield found, counts[numbers]


def said(frame: Frame, rows: Ints) -> list[str]:
    """A few records' outputs as one text each: text, then refusal, then tool calls."""
    return next(said_in_turn(frame, [rows]))


def said_in_turn(frame: Frame, groups: Sequence[Ints]) -> Iterator[list[str]]:
    """:func:`said` of groups of records, of which one is in memory at a time.

    Where columns hold numbers of texts, those of all groups are looked up together, since each
    look goes through all the pieces of a column.
    """
    ends = np.cumsum([len(rows) for rows in groups])[:-1]
    if frame.held is None:
        for rows in groups:
            yield _joined([texts(frame, rows, name) for name in OUTPUTS])
        return
    columns = [_numbers(frame, np.concatenate(groups), name) for name in OUTPUTS]
    for parts in zip(*(np.split(column, ends) for column in columns), strict=True):
        yield _joined([frame.held.take(numbers) for numbers in parts])


def _numbers(frame: Frame, rows: Ints, column: str) -> Ints:
    """Numbers of texts of a few records; that of the empty text where there is none."""
    if column not in frame.records.column_names:
        return np.zeros(len(rows), np.int64)
    found = frame.records.take(column, frame.rows[rows])
    return np.array([number or 0 for number in found], np.int64)


def _joined(parts: list[list[str | None]] | list[list[str]]) -> list[str]:
    return [
        "".join((text or "", refusal or "", without_call_ids(calls) if calls else ""))
        for text, refusal, calls in zip(*parts, strict=True)
    ]


def output_codes(records: Any, group: Ints, unknown: Bools, texts: Texts | None = None) -> Ints:
    """Encode what a record said as one code: text, refusal and tool calls together.

    An absent text is an empty one, except in rows of ``unknown``, whose code is :data:`UNKNOWN`.
    Codes compare within a group only. With ``texts`` the columns hold numbers of texts.
    """
    codes: Ints = np.zeros(len(group), np.int32)
    names = set(records.column_names)
    for name in ("text", "refusal", "tool_calls_json"):
        if name not in names:
            continue
        column = encode.chunked(records[name])
        if column.null_count == len(column):
            continue
        if texts is not None:
            # The empty text has the number 0.
            numbers: Ints = np.concatenate([np.asarray(c.fill_null(0)) for c in column.chunks])
            if name == "tool_calls_json":
                numbers = _bare_numbers(numbers, texts)
            codes = _pair(codes, numbers)
            continue
        blank = _bare_calls if name == "tool_calls_json" else _blank_nulls
        column = blank(column)
        codes = _pair(codes, encode.text_codes(column, group))
    codes[unknown] = UNKNOWN
    return codes


def _blank_nulls(column: Any) -> Any:
    _, pc = encode.arrow()
    return pc.fill_null(column, "") if column.null_count else column


def _pair(left: Ints, right: Ints) -> Ints:
    """One code for each pair of codes, in the order of the pairs; the right one is mostly 0."""
    if not left.any():
        return right + 1
    rows = np.flatnonzero(right)
    distinct, rank = np.unique(right[rows], return_inverse=True)
    codes = left.astype(np.int64)
    codes *= len(distinct) + 1
    codes[rows] += rank + 1
    return encode.narrow(codes)


def _bare_calls(column: Any) -> Any:
    """Tool calls without the id each response invents: what is called, with which arguments."""
    pa, _ = encode.arrow()
    codes, calls = encode.dictionary(column)
    bare = pa.array([without_call_ids(text) for text in calls.to_pylist()], pa.string())
    return pa.chunked_array([bare.take(pa.array(codes, mask=codes == UNKNOWN))])


def _bare_numbers(numbers: Ints, texts: Texts) -> Ints:
    """Codes of tool calls, given by the numbers of their texts, without the ids."""
    distinct, inverse = np.unique(numbers, return_inverse=True)
    bare = [without_call_ids(text) for text in texts.take(distinct)]
    return np.unique(bare, return_inverse=True)[1].astype(np.int64)[inverse]


def without_call_ids(text: str) -> str:
    """Return tool calls (JSON) without their ids; text that is not a JSON list, unchanged."""
    try:
        calls = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if not isinstance(calls, list):
        return text
    bare: list[Any] = []
    for call in cast("list[Any]", calls):
        if isinstance(call, dict):
            fields = cast("dict[str, Any]", call)
            bare.append({key: value for key, value in fields.items() if key != "id"})
        else:
            bare.append(call)
    return msgspec.json.encode(bare).decode()


def text_lengths(table: Any, column: str, texts: Texts | None = None) -> Floats:
    """Return the length of each text in characters; a null text, or column, has length 0."""
    _, pc = encode.arrow()
    if column not in table.column_names:
        return np.zeros(int(table.num_rows))
    if texts is not None:
        return texts.lengths.astype(np.float64)[
            encode.integers(encode.chunked(table[column]).fill_null(0))
        ]
    lengths = encode.floats(pc.utf8_length(encode.chunked(table[column])))
    return np.where(np.isnan(lengths), 0.0, lengths)
