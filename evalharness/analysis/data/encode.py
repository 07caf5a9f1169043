"""Columns as integer codes, so that the analysis works on numpy arrays.

Nothing here loops over rows in Python.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from evalharness.columnar.row_store import DictionaryEncoder

Ints = npt.NDArray[np.signedinteger[Any]]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNKNOWN = -1  # the code of null

_BLOCK = 1_000_000

_T = TypeVar("_T", bound=np.generic)


def import_arrow() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.compute``, imported on use; neither is fully typed."""
    import pyarrow
    import pyarrow.compute

    return cast("Any", pyarrow), cast("Any", pyarrow.compute)


def encode_known(column: Any, known: list[str]) -> tuple[Ints, list[str]]:
    """Index of each value in ``known``, and the values that are not in it.

    Args:
        column: a text column, null-free.
        known: distinct values that fix the order.

    Returns:
        ``(codes, extra)``: codes index ``known + extra``; ``extra`` is sorted, so that it does not
        depend on the order of the rows.

    """
    encoder = DictionaryEncoder()
    return recode(encoder.codes(column), encoder.values, known)


def recode(codes: Ints, values: list[str], known: list[str]) -> tuple[Ints, list[str]]:
    """:func:`encode_known` of a column that is encoded already; ``values`` are by their codes."""
    index = {name: position for position, name in enumerate(known)}
    new_codes = np.array([index.get(value, UNKNOWN) for value in values], np.int64)
    # A dictionary may hold values that no row has.
    used = np.bincount(codes, minlength=len(values)) > 0
    extra: list[int] = np.flatnonzero((new_codes == UNKNOWN) & used).tolist()
    order = sorted(extra, key=values.__getitem__)
    new_codes[order] = len(known) + np.arange(len(order))
    return narrow(new_codes)[codes], [values[code] for code in order]


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


def to_floats(column: Any) -> Floats:
    """Return a numeric, decimal, boolean or time column (chunked) as float64; null becomes NaN.

    Timestamps become seconds since the epoch (a double keeps them to about a microsecond).
    """
    pa, _ = import_arrow()
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
