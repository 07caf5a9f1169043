"""Arrow tables built from buffers instead of Python lists, to avoid the import of pandas.

pyarrow imports pandas when it first converts a Python list, to check whether it is a Series. That
import would double the time until the first request. So tables that are written before the first
request are built here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_TEXT_BYTES = 2**31 - 1  # what the offsets of one Arrow text array can address


def empty_table(schema: pa.Schema) -> pa.Table:
    """A table without rows."""
    import pyarrow as pa

    return pa.Table.from_batches([], schema=schema)


def build_table(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """A table of columns of texts, whole numbers, lists of texts and flags.

    Texts and numbers may be None, lists and flags not.
    """
    import pyarrow as pa

    builders = {
        pa.string(): _texts, pa.int64(): _integers, pa.list_(pa.string()): _lists,
        pa.bool_(): _flags,
    }  # fmt: skip
    any_schema: Any = schema
    arrays = [builders[any_schema.field(name).type](columns[name]) for name in schema.names]
    return pa.Table.from_arrays(arrays, schema=schema)


def _texts(values: Sequence[str | None]) -> Any:
    import pyarrow as pa

    encoded = [b"" if value is None else value.encode() for value in values]
    data = b"".join(encoded)
    if len(data) > _MAX_TEXT_BYTES:
        return pa.array(values, pa.string())  # in chunks
    present = _bits([value is not None for value in values])
    buffers = [present, _offsets(encoded), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _lists(values: Sequence[Sequence[str]]) -> Any:
    import pyarrow as pa

    children = _texts([*itertools.chain.from_iterable(values)])
    kind = pa.list_(pa.string())
    buffers = [None, _offsets(values)]
    return pa.Array.from_buffers(kind, len(values), buffers, children=[children])


def _integers(values: Sequence[int | None]) -> Any:
    import numpy as np
    import pyarrow as pa

    data = np.array([value or 0 for value in values], dtype=np.int64)
    buffers = [_bits([value is not None for value in values]), pa.py_buffer(data.tobytes())]
    return pa.Array.from_buffers(pa.int64(), len(values), buffers)


def _flags(values: Sequence[bool]) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _bits(values)])


def _offsets(values: Sequence[Sequence[Any]]) -> Any:
    """The offset of each value, and the end of the last one."""
    import numpy as np
    import pyarrow as pa

    return pa.py_buffer(np.cumsum([0, *map(len, values)]).astype(np.int32).tobytes())


def _bits(values: Sequence[bool]) -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.py_buffer(np.packbits(np.array(values, dtype=np.bool_), bitorder="little").tobytes())
