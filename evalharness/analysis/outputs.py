"""The texts of a frame's records, which may be held as numbers of distinct texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from evalharness.analysis import encode
from evalharness.analysis.encode import Ints
from evalharness.held import Held
from evalharness.texts import OUTPUTS

if TYPE_CHECKING:
    from evalharness.analysis.frame import Frame


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
