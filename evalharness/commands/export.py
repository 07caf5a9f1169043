"""``evalharness export RUN --format csv|jsonl``: records out, to stdout or a file."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from evalharness.errors import EXIT_OK
from evalharness.store.run import Run

# A spreadsheet takes a cell that begins like this for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(run_name: str, form: str, *, out: str | None, raw_cells: bool) -> int:
    """Write every record; a file appears whole or not at all.

    In CSV, text cells a spreadsheet would run as a formula get a leading ``'`` unless
    ``raw_cells``; JSONL and Parquet are always exact.
    """
    run = Run.open(run_name)
    table = run.table("records")
    with _target(out) as file:
        if form == "jsonl":
            for row in _rows(table):
                file.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")
        else:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table.column_names)
            for row in _rows(table):
                writer.writerow([_cell(value, raw=raw_cells) for value in row.values()])
    if out is not None:
        print(f"{len(table)} records written to {out}", file=sys.stderr)
    return EXIT_OK


@contextmanager
def _target(out: str | None) -> Generator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    target = Path(out)
    aside = target.with_name(f".{target.name}.tmp")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1_000):
        yield from batch.to_pylist()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


def _cell(value: Any, *, raw: bool) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if not raw and value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return value if isinstance(value, int | float) else _plain(value)
