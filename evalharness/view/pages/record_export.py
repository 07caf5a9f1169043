"""The rows of a filter as CSV, JSONL or Parquet, some at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.report.words.cells import LINE_ENDS, cell_text, json_value

if TYPE_CHECKING:
    import pyarrow as pa

FORMS: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}


def csv_chunks(names: list[str], batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """As ``evalharness export`` writes CSV: formulas neutralised, lines ended by CR LF."""

    def write(writer: Any, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            writer.writerow([cell_text(row[name], raw=False) for name in names])

    yield _csv_text(lambda writer: writer.writerow(names))
    for batch in batches:
        rows = batch.to_pylist()
        yield _csv_text(lambda writer, rows=rows: write(writer, rows))


def jsonl_chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """As ``evalharness export`` writes JSONL: exact, one line a record to every program."""
    for batch in batches:
        lines = (
            json.dumps(row, ensure_ascii=False, default=json_value).translate(LINE_ENDS)
            for row in batch.to_pylist()
        )
        yield "".join(f"{line}\n" for line in lines).encode()


def write_parquet(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a file of all batches, one at least, of which one is in memory at a time."""
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    writer: Any = None
    try:
        for batch in batches:
            writer = writer or parquet.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()


def _csv_text(write: Callable[[Any], object]) -> bytes:
    text = io.StringIO(newline="")
    write(csv.writer(text, lineterminator="\r\n"))
    return text.getvalue().encode()
