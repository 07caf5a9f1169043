"""The few Arrow operations used all over, behind types that say what they take.

pyarrow's own annotations leave most arguments unknown.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class _NoPandas:
    """An import finder that knows that there is no pandas."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def spare_pandas() -> None:
    """Keep pyarrow from importing pandas, a fifth of a second, before something needs it.

    The first ``pyarrow.array`` of a process, of whatever, imports pandas to know one of its Series
    if it sees one; this asks for it while there is none. What makes data frames looks again. For
    commands that hand no Series to pyarrow; nothing where pandas is imported already.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_NoPandas)


def where_equal(table: pa.Table, column: str, value: str) -> pa.Table:
    """Rows whose text column equals ``value``."""
    compute = _compute()
    return table.filter(compute.equal(table[column], value))


def where_in(table: pa.Table, column: str, values: pa.ChunkedArray[Any]) -> pa.Table:
    """Rows whose column is one of ``values``; the table itself when that is all of them."""
    compute = _compute()
    inside = compute.is_in(table[column], value_set=values.combine_chunks())
    return table if compute.all(inside).as_py() in (True, None) else table.filter(inside)


def where_not_in(table: pa.Table, column: str, values: pa.ChunkedArray[Any]) -> pa.Table:
    """Rows whose column is none of ``values``."""
    compute = _compute()
    inside = compute.is_in(table[column], value_set=values.combine_chunks())
    return table.filter(compute.invert(inside))


def positions(column: pa.ChunkedArray[Any], values: Sequence[str]) -> NDArray[np.int64]:
    """For each row of a text column its index in ``values``, −1 where it is not among them."""
    import numpy as np
    import pyarrow as pa

    if not len(column):
        return np.zeros(0, dtype=np.int64)
    compute = _compute()
    found = compute.index_in(column, value_set=pa.array(list(values), pa.string()))
    return np.asarray(compute.fill_null(found, -1).to_numpy(), dtype=np.int64)


# Before the footer of our own files: this and the footer's CRC-32, big-endian. No page lies there,
# so other readers never look at it. Parquet has checksums for pages and none for its footer, and a
# flipped bit in there can make a reader return other data without a word.
_FOOTER_MARK = b"EVHFOOT1"
_MARK_BYTES = len(_FOOTER_MARK) + 4
_TAIL_BYTES = 8  # the footer's length and b"PAR1"


def mark_footer(path: Path) -> None:
    """Put a checksum of its footer into a Parquet file just written."""
    with path.open("r+b") as file:
        size = file.seek(-_TAIL_BYTES, 2) + _TAIL_BYTES
        at = size - _TAIL_BYTES - int.from_bytes(file.read(4), "little")
        file.seek(at)
        footer = file.read()
        file.seek(at)
        file.write(_FOOTER_MARK + zlib.crc32(footer).to_bytes(4, "big") + footer)


def check_footer(path: Path) -> None:
    """Compare a Parquet file's footer with the checksum before it; files without one pass.

    Raises:
        OSError: it cannot be read, or the footer is not what was written.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        at = size - _TAIL_BYTES - int.from_bytes(file.read(4), "little") - _MARK_BYTES
        if at < 0:
            return  # no Parquet file that we wrote; Arrow says what it is
        file.seek(at)
        mark, footer = file.read(_MARK_BYTES), file.read()
    if not mark.startswith(_FOOTER_MARK):
        return
    if mark[len(_FOOTER_MARK) :] != zlib.crc32(footer).to_bytes(4, "big"):
        raise OSError("the footer does not match its checksum")


def read_parquet(
    path: Path,
    columns: list[str] | None = None,
    *,
    dictionaries: Sequence[str] = (),
    threads: bool = True,
) -> pa.Table:
    """A Parquet file with its checksums verified, of pages and footer; absent columns are left out.

    Text columns named in ``dictionaries`` are read as dictionaries. ``threads`` decodes columns in
    parallel, which a small file is not worth when another thread has work, too.

    Raises:
        pyarrow.ArrowException, OSError: it cannot be read, or is not what was written.
    """
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    check_footer(path)
    # Not parquet.read_table, which imports pyarrow.dataset and, with it, pandas: half a second
    # before a first request, for a single file.
    metadata = parquet.read_metadata(path)
    names = set(metadata.schema.to_arrow_schema().names)
    with parquet.ParquetFile(
        path,
        metadata=metadata,
        page_checksum_verification=True,
        # Columns that are younger than the file are not in it.
        read_dictionary=[name for name in dictionaries if name in names],
    ) as file:
        if columns is not None:
            there = set(file.schema_arrow.names)
            columns = [name for name in columns if name in there]
        return file.read(columns=columns, use_threads=threads)


def filled_columns(path: Path) -> tuple[int, frozenset[str]]:
    """How many rows a Parquet file has, and which columns may hold a value by its statistics."""
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    check_footer(path)
    metadata = parquet.read_metadata(path)
    filled: set[str] = set()
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            found = group.column(place)
            known = found.statistics if found.is_stats_set else None
            if known is None or not known.has_null_count or known.null_count < group.num_rows:
                filled.add(found.path_in_schema)
    return metadata.num_rows, frozenset(filled)


def batches(
    path: Path, *, columns: list[str] | None = None, rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """The record batches of a Parquet file, one after the other, checksums verified."""
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    check_footer(path)
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        if columns is not None:
            columns = [name for name in columns if name in file.schema_arrow.names]
        yield from file.iter_batches(batch_size=rows, columns=columns)


def only(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """Some fields of a schema, in the order given."""
    import pyarrow as pa

    whole: Any = schema
    return pa.schema([whole.field(name) for name in columns], metadata=whole.metadata)


def conform(table: pa.Table, schema: pa.Schema, dictionaries: Sequence[str] = ()) -> pa.Table:
    """The table with exactly the columns of ``schema``: those an older version lacked are null.

    Text columns named in ``dictionaries`` are dictionaries of texts.

    Raises:
        pyarrow.ArrowException: a column has a type that cannot become the schema's.
    """
    import pyarrow as pa

    encoded = pa.dictionary(pa.int32(), pa.string())
    fields = [f.with_type(encoded) if f.name in dictionaries else f for f in _fields(schema)]
    whole: Any = schema
    schema = pa.schema(fields, metadata=whole.metadata)
    if table.schema.equals(schema):  # nothing to cast: that imports pyarrow.compute
        return pa.Table.from_arrays(table.columns, schema=schema)
    columns: list[Any] = [
        table[f.name] if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in _fields(schema)
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def missing_only_nullable(found: pa.Schema, schema: pa.Schema) -> bool:
    """Whether ``found`` is ``schema``, perhaps without some columns that can be null."""
    import pyarrow as pa

    expected = [f for f in _fields(schema) if f.name in found.names or not f.nullable]
    return found.equals(pa.schema(expected))


def _fields(schema: Any) -> list[Any]:
    return list(schema)


def _compute() -> Any:
    import pyarrow.compute

    return pyarrow.compute
