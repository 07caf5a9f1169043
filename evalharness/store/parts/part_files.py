"""Parquet parts: written aside, verified, then named. Readers glob ``part-*.parquet`` only."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.columnar.arrow_ops import batches, conform, mark_footer, only, read_parquet
from evalharness.errors import StorageError
from evalharness.schema import arrow_schema
from evalharness.store.folder.durable_files import publish

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
    """The number in a part's name, also when the file was moved aside (``….parquet.damaged``)."""
    found = re.match(r"part-(\d+)\.parquet", path.name)
    return int(found[1]) if found else 0


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
    wanted = schema if columns is None else only(schema, columns)
    with reading(path):
        found = read_parquet(path, columns, dictionaries=dictionaries, threads=threads)
        return conform(found, wanted, dictionaries)


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn what goes wrong while a sealed file is read into :func:`damaged_file`."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise damaged_file(path, error) from error


def damaged_file(path: Path, error: Exception) -> StorageError:
    """The error for a sealed file that cannot be read, with the way on for a person to decide."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    root = path.parent.parent if path.name.startswith("part-") else path.parent
    file = shlex.quote(str(path))
    return StorageError(
        f"{path} is damaged: {reason}",
        hint=f"put a copy of it back if you have one; else mv {file} {file}.damaged, and the next "
        f"run asks again what only it held (evalharness verify {shlex.quote(str(root))} tells what "
        "can be read)",
    )


def write_table(target: Path, table: pa.Table) -> None:
    """Write one Parquet file with page checksums so that it appears whole, verified, or not at all.

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

    publish(target, write)


def _verify(path: Path, table: pa.Table) -> None:
    rows = sum(len(batch) for batch in batches(path))
    if rows != len(table):
        raise StorageError(f"{path.name} reads back {rows} rows of {len(table)}")


def write_part(root: Path, table_name: str, number: int, table: pa.Table) -> Part:
    """Seal one table of the run folder ``root`` and describe the file for the manifest."""
    target = root / table_name / part_name(number)
    write_table(target, table)
    return describe(root, target, rows=len(table))


def describe(root: Path, path: Path, *, rows: int) -> Part:
    """Size and hash of a sealed file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(
        path=path.relative_to(root).as_posix(),
        rows=rows,
        bytes=path.stat().st_size,
        sha256=sha256,
    )
