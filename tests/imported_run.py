"""A run made from rows, by importing them."""

from __future__ import annotations

import json
from pathlib import Path

from evalharness.cli.commands.import_ import import_file

Rows = list[dict[str, object]]


def write_run(rows: Rows, name: str = "r") -> None:
    """Import rows as a run of the working folder."""
    file = Path("rows.jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(str(file), name, [])
