"""Reads and writes Parquet parts: written to a temporary file, verified, then renamed.

Readers glob ``part-*.parquet``, so they never see a part that is being written.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.columnar.arrow_ops import (
    conform,
    mark_footer,
    read_batches,
    read_parquet,
    select_schema,
)
from evalharness.errors import OutOfMemoryError, StorageError
from evalharness.process.memory import is_out_of_memory
from evalharness.schema import arrow_schema
from evalharness.store.folder.durable_files import write_durably

if TYPE_CHECKING:
    import pyarrow as pa

PATTERN = "part-*.parquet"
_ROW_GROUP = 16_384


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed file, as listed in the manifest. ``path`` is relative to the run folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


def part_name(number: int) -> str:
    """File name of a part; the number is derived from the journal, so a repeat gives the same."""
    return f"part-{number:06d}.parquet"


def part_number(path: Path) -> int:
    """The number in a part's name, also of a renamed file (``….parquet.damaged``)."""
    match = re.match(r"part-(\d+)\.parquet", path.name)
    return int(match[1]) if match else 0


def read_sealed(
    path: Path,
    columns: list[str] | None = None,
    *,
    dictionaries: Sequence[str] = (),
    threads: bool = True,
) -> pa.Table:
    """A sealed file of a run folder, its page checksums verified, with the columns of the schema.

    A column that was added since the file was written is null; ``dictionaries`` names those that
    are read as dictionaries, ``threads`` is that of
    :func:`~evalharness.columnar.arrow_ops.read_parquet`.

    Raises:
        StorageError: it is not what was written; the message names it and says what to do.
    """
    schema = arrow_schema(path.parent.name if path.name.startswith("part-") else path.stem)
    wanted = schema if columns is None else select_schema(schema, columns)
    with reading(path):
        table = read_parquet(path, columns, dictionaries=dictionaries, threads=threads)
        return conform(table, wanted, dictionaries)


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn errors while a sealed file is read into a :func:`damaged_file_error`."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise damaged_file_error(path, error) from error


def damaged_file_error(path: Path, error: Exception) -> StorageError:
    """The error for a sealed file that cannot be read, with a hint how to go on."""
    if is_out_of_memory(error):
        return OutOfMemoryError()
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    is_part = path.name.startswith("part-")
    root = path.parent.parent if is_part else path.parent
    next_run = "asks again what only it held" if is_part else "writes it again"
    file = shlex.quote(str(path))
    return StorageError(
        f"{path} is damaged: {reason}",
        hint=f"put a copy of it back if you have one; else mv {file} {file}.damaged, and the next "
        f"run {next_run} (evalharness verify {shlex.quote(str(root))} tells what "
        "can be read)",
    )


def write_table(target: Path, table: pa.Table) -> None:
    """Write one Parquet file with page checksums, verified and atomically.

    Raises:
        StorageError: the disk refused, or what was written does not read back.
    """
    import pyarrow as pa
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet

    def write(path: Path) -> None:
        try:
            parquet.write_table(
                table,
                path,
                compression="zstd",
                write_page_checksum=True,
                row_group_size=_ROW_GROUP,
                use_dictionary=True,
            )
            path.chmod(0o600)
            mark_footer(path)
            _verify(path, table)
        except pa.ArrowException as error:
            raise StorageError(f"cannot write {target.name}: {error}") from error

    write_durably(target, write)


def _verify(path: Path, table: pa.Table) -> None:
    rows = sum(len(batch) for batch in read_batches(path))
    if rows != len(table):
        raise StorageError(f"{path.name} reads back {rows} rows of {len(table)}")


def write_part(root: Path, table_name: str, number: int, table: pa.Table) -> Part:
    """Seal one table of the run folder ``root`` and describe the file for the manifest."""
    target = root / table_name / part_name(number)
    write_table(target, table)
    return describe(root, target, rows=len(table))


def describe(root: Path, path: Path, *, rows: int) -> Part:
    """The manifest entry of a sealed file: its size and hash."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(
        path=path.relative_to(root).as_posix(),
        rows=rows,
        bytes=path.stat().st_size,
        sha256=sha256,
    )
