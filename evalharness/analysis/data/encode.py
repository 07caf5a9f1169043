"""Columns as integer codes, so that the analysis works on numpy arrays.

Texts are hashed once, in Arrow, in batches of bounded size; from then on two outputs are equal
exactly when their codes are. Nothing here loops over rows in Python.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.columnar.row_store import ColumnStore

Ints = npt.NDArray[np.signedinteger[Any]]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNKNOWN = -1  # the code of null

_BATCH_BYTES = 64 * 1024 * 1024
_BLOCK = 1_000_000

_T = TypeVar("_T", bound=np.generic)


def import_arrow() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.compute``, imported on use; neither is fully typed."""
    import pyarrow
    import pyarrow.compute

    return cast("Any", pyarrow), cast("Any", pyarrow.compute)


def as_chunked(column: Any) -> Any:
    """Return any Arrow array as a chunked one, dictionary columns decoded."""
    pa, _ = import_arrow()
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def dictionary_encode(column: Any) -> tuple[Ints, Any]:
    """Encode a text column: codes (null is :data:`UNKNOWN`), and the Arrow array they index."""
    pa, pc = import_arrow()
    if pa.types.is_dictionary(column.type):
        encoded = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
        encoded = encoded.unify_dictionaries()
    else:
        encoded = pc.dictionary_encode(as_chunked(column))
    if not encoded.num_chunks:
        return np.zeros(0, np.int32), pa.array([], pa.string())
    pieces = [np.asarray(piece.indices.fill_null(UNKNOWN)) for piece in encoded.chunks]
    return np.concatenate(pieces), encoded.chunk(0).dictionary


def encode_known(column: Any, known: list[str]) -> tuple[Ints, list[str]]:
    """Index of each value in ``known``, and the values that are not in it.

    Args:
        column: a text column, null-free.
        known: distinct values that fix the order.

    Returns:
        ``(codes, extra)``: codes index ``known + extra``; ``extra`` is sorted, so that it does not
        depend on the order of the rows.

    """
    return recode(*dictionary_encode(column), known)


def encode_column(records: Any, column: str) -> tuple[Ints, Any]:
    """:func:`dictionary_encode` of a column of records, which may be stored as codes already."""
    if isinstance(records, ColumnStore) and column in records.encoders:
        pa, _ = import_arrow()
        return records.codes(column), pa.array(records.encoders[column].values, pa.string())
    return dictionary_encode(records[column])


def recode(codes: Ints, values: Any, known: list[str]) -> tuple[Ints, list[str]]:
    """:func:`encode_known` of a column that is encoded already."""
    pa, pc = import_arrow()
    new_codes = to_integers(pc.fill_null(_index_in(values.cast(pa.string()), known), UNKNOWN))
    # A dictionary may hold values that no row has.
    used = np.bincount(codes, minlength=len(values)) > 0
    extra = np.flatnonzero((new_codes == UNKNOWN) & used)
    names: list[str] = values.take(pa.array(extra)).to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    new_codes[extra[order]] = len(known) + np.arange(len(names))
    return narrow(new_codes)[codes], [names[index] for index in order]


def narrow(values: Ints, at_least: type[np.signedinteger[Any]] = np.int32) -> Ints:
    """The same numbers in the smallest integer type they fit into, ``at_least`` or larger."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    for dtype in (np.int8, np.int16, np.int32):
        limits = np.iinfo(dtype)
        if limits.bits >= np.iinfo(at_least).bits and limits.min <= low and high <= limits.max:
            return values.astype(dtype)
    return values


def take(values: npt.NDArray[_T], rows: Ints) -> npt.NDArray[_T]:
    """``values[rows]``, block by block, which spares a copy of all row numbers."""
    out = np.empty(len(rows), values.dtype)
    for start in range(0, len(rows), _BLOCK):
        out[start : start + _BLOCK] = values[rows[start : start + _BLOCK]]
    return out


def _index_in(texts: Any, known: list[str]) -> Any:
    pa, pc = import_arrow()
    return pc.index_in(texts, value_set=pa.array(known, pa.string()))


def to_integers(column: Any) -> Ints:
    """Return a column of whole numbers without nulls in 64 bits."""
    return np.asarray(column.to_numpy()).astype(np.int64, copy=False)


def to_floats(column: Any) -> Floats:
    """Return a numeric, decimal, boolean or timestamp column as float64; null becomes NaN.

    Timestamps become seconds since the epoch (a double keeps them to about a microsecond).
    """
    pa, _ = import_arrow()
    column = as_chunked(column)
    out = np.empty(len(column))
    start = 0
    for chunk in column.chunks:
        values = chunk
        if pa.types.is_timestamp(chunk.type):
            values = chunk.cast(pa.timestamp("ns", tz=chunk.type.tz)).cast(pa.int64())
        part = out[start : start + len(chunk)]
        part[:] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if pa.types.is_timestamp(chunk.type):
            part /= 1e9
        start += len(chunk)
    return out


def text_codes(column: Any, group: Ints) -> Ints:
    """Codes of a text column that are equal, within a group, exactly when the bytes are.

    Groups are spread over batches so that the extra memory is a few batches, however large the
    column is; codes of different groups are not comparable.

    Args:
        column: text, any chunking; null gives :data:`UNKNOWN`.
        group: one small non-negative number a row (the prompt).

    Returns:
        One code a row, ``>= 0`` or :data:`UNKNOWN`.

    """
    pa, _ = import_arrow()
    column = as_chunked(column)
    batches = max(1, -(-column.nbytes // _BATCH_BYTES))
    out = np.full(len(column), UNKNOWN, np.int64)
    batch_of = group % batches
    for batch in range(batches):
        pieces: list[Any] = []
        rows: list[Ints] = []
        start = 0
        for chunk in column.chunks:
            inside = np.flatnonzero(batch_of[start : start + len(chunk)] == batch)
            pieces.append(chunk if len(inside) == len(chunk) else chunk.take(pa.array(inside)))
            rows.append(inside + start)
            start += len(chunk)
        if not pieces:
            continue
        out[np.concatenate(rows)] = dictionary_encode(pa.chunked_array(pieces, type=column.type))[0]
    return out


def object_codes(values: Any) -> Ints:
    """Codes of answers given as codes, as an object array, or as an Arrow column; None is unparsed.

    Integer arrays are taken as they are (negative: unparsed). Objects that are not text are
    compared by their canonical JSON, so ``1`` and ``"1"`` differ.
    """
    pa, _ = import_arrow()
    if isinstance(values, np.ndarray):
        array = cast("npt.NDArray[Any]", values)
        if array.dtype.kind in "iu":
            return np.maximum(array.astype(np.int64), UNKNOWN)
        texts = [_answer_text(value) for value in array.tolist()]
        values = pa.array(texts, pa.string())
    return dictionary_encode(values)[0]


def _answer_text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, str):
        return value
    return "\x00" + msgspec.json.encode(value, order="deterministic").decode()


def sort_order(*keys: Ints) -> Ints:
    """The stable order of rows by several keys of at least 0, the first key most significant.

    Keys and row number share one integer where they fit: sorting that is far quicker.
    """
    rows = len(keys[0])
    widths = [int(key.max(initial=0)) + 1 for key in keys]
    if math.prod(widths) * max(1, rows) >= 2**63 or any(key.min(initial=0) < 0 for key in keys):
        return np.lexsort(keys[::-1])
    combined = np.zeros(rows, np.int64)
    for key, width in zip(keys, widths, strict=True):
        combined *= width
        combined += key
    combined *= rows
    combined += np.arange(rows)
    return np.argsort(combined)
