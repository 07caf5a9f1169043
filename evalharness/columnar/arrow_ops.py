"""Arrow and Parquet operations with full types: pyarrow's own leave most arguments unknown."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


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


def index_in(column: pa.ChunkedArray[Any], values: Sequence[str]) -> NDArray[np.int64]:
    """For each row of a text column its index in ``values``, −1 where it is not among them."""
    import numpy as np
    import pyarrow as pa

    if not len(column):
        return np.zeros(0, dtype=np.int64)
    compute = _compute()
    indices = compute.index_in(column, value_set=pa.array(list(values), pa.string()))
    return np.asarray(compute.fill_null(indices, -1).to_numpy(), dtype=np.int64)


# Our own files have this and the footer's CRC-32, big-endian, before the footer. No page is there,
# so other readers ignore it. Parquet has checksums for pages and none for its footer, and a flipped
# bit in the footer can make a reader return wrong data without an error.
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
            return  # not a Parquet file of ours: Arrow raises the error
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
        # Columns that the schema got after the file was written are not in it.
        read_dictionary=[name for name in dictionaries if name in names],
    ) as file:
        if columns is not None:
            present = set(file.schema_arrow.names)
            columns = [name for name in columns if name in present]
        return file.read(columns=columns, use_threads=threads)


def columns_with_values(path: Path) -> tuple[int, frozenset[str]]:
    """How many rows a Parquet file has, and which columns may hold a value by its statistics."""
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    check_footer(path)
    metadata = parquet.read_metadata(path)
    filled: set[str] = set()
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            chunk = group.column(index)
            stats = chunk.statistics if chunk.is_stats_set else None
            if stats is None or not stats.has_null_count or stats.null_count < group.num_rows:
                filled.add(chunk.path_in_schema)
    return metadata.num_rows, frozenset(filled)


def read_batches(
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


def select_schema(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """Some fields of a schema, in the order given."""
    import pyarrow as pa

    untyped: Any = schema
    return pa.schema([untyped.field(name) for name in columns], metadata=untyped.metadata)


def conform(table: pa.Table, schema: pa.Schema, dictionaries: Sequence[str] = ()) -> pa.Table:
    """The table with exactly the columns of ``schema``: those an older version lacked are null.

    Text columns named in ``dictionaries`` are dictionaries of texts.

    Raises:
        pyarrow.ArrowException: a column has a type that cannot become the schema's.
    """
    import pyarrow as pa

    encoded = pa.dictionary(pa.int32(), pa.string())
    fields = [f.with_type(encoded) if f.name in dictionaries else f for f in _fields(schema)]
    untyped: Any = schema
    schema = pa.schema(fields, metadata=untyped.metadata)
    if table.schema.equals(schema):  # nothing to cast: that imports pyarrow.compute
        return pa.Table.from_arrays(table.columns, schema=schema)
    columns: list[Any] = [
        table[f.name] if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in _fields(schema)
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def lacks_only_nullable(actual: pa.Schema, schema: pa.Schema) -> bool:
    """Whether ``actual`` is ``schema``, perhaps without some columns that can be null."""
    import pyarrow as pa

    expected = [f for f in _fields(schema) if f.name in actual.names or not f.nullable]
    return actual.equals(pa.schema(expected))


def _fields(schema: Any) -> list[Any]:
    return list(schema)


def _compute() -> Any:
    import pyarrow.compute

    return pyarrow.compute
