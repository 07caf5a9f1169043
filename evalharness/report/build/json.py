"""The JSON text of a report, for ``report --json`` and ``summary.json``."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from evalharness.store.folder.durable_files import write_bytes_durably


def as_json_text(data: Any) -> str:
    """Return indented JSON. NaN and infinity are refused, because unknown values are null."""
    return (
        json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_encode_decimal)
        + "\n"
    )


def write_summary(root: Path, data: Any) -> None:
    """Write the report's JSON to ``summary.json`` in the run folder."""
    write_bytes_durably(
        root / "summary.json", as_json_text(data).encode("utf-8", "backslashreplace")
    )


def _encode_decimal(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} in a report")
