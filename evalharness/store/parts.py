"""Parquet parts: written aside, verified, then named. Readers glob ``part-*.parquet`` only."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.arrow import batches
from evalharness.errors import StorageError
from evalharness.store.files import publish

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
