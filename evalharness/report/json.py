"""The JSON text of a report, for ``report --json`` and ``summary.json``.

Decimals are written as numbers with all of their digits, which the encoder of the standard library
cannot do.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec

from evalharness.report.section import ReportData
from evalharness.store.folder.durable_files import write_bytes_durably

_INDENT = "  "
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def as_json_text(data: Any) -> str:
    """Return indented JSON. NaN and infinity are refused, because unknown values are null.

    Args:
        data: a report, or any structs, lists and dicts.
    """
    pieces: list[str] = []
    _write(_plain(data), "\n", pieces)
    return "".join([*pieces, "\n"])


def write_summary(root: Path, data: Any) -> None:
    """Write the report's JSON to ``summary.json`` in the run folder."""
    write_bytes_durably(
        root / "summary.json", as_json_text(data).encode("utf-8", "backslashreplace")
    )


def read_summary(content: bytes, *, location: str | None = None) -> ReportData | None:
    """The report of a ``summary.json``; None where another version wrote it, or it is damaged.

    Args:
        content: of the file.
        location: what commands take for the run.
    """
    from evalharness.report.registry import SECTIONS

    sections = {section.key: section for section in SECTIONS if section.build is not None}
    try:
        raw = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        if raw.keys() != sections.keys():
            return None
        data = {key: msgspec.json.decode(raw[key], type=sections[key].type) for key in sections}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return ReportData(data, location=location)


def _plain(data: Any) -> Any:
    if isinstance(data, ReportData):
        return data.to_json_values()
    if isinstance(data, list):  # of reports
        return [_plain(each) for each in cast("list[Any]", data)]
    return msgspec.to_builtins(data, builtin_types=(Decimal,))


def _write(value: Any, line: str, pieces: list[str]) -> None:
    """Append the text of a value; ``line`` is a line break with the indentation there."""
    if isinstance(value, float):
        pieces.append(repr(value) if math.isfinite(value) else _encode(value))
    elif isinstance(value, Decimal):
        pieces.append(_decimal_text(value))
    elif isinstance(value, dict) and value:
        inner, begin = line + _INDENT, "{"
        for key, part in cast("dict[str, Any]", value).items():
            pieces.append(f"{begin}{inner}{_encode(key)}: ")
            _write(part, inner, pieces)
            begin = ","
        pieces.append(f"{line}}}")
    elif isinstance(value, list) and value:
        inner, begin = line + _INDENT, "["
        for part in cast("list[Any]", value):
            pieces.append(f"{begin}{inner}")
            _write(part, inner, pieces)
            begin = ","
        pieces.append(f"{line}]")
    else:
        pieces.append(_encode(value))


def _decimal_text(value: Decimal) -> str:
    """All digits of a decimal, and a decimal point as floats have it."""
    if not value.is_finite():
        raise ValueError(f"{value} in a report")
    text = f"{value:f}"
    if "." not in text:
        return f"{text}.0"
    text = text.rstrip("0")
    return f"{text}0" if text.endswith(".") else text
