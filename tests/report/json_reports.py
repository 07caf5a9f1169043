"""Reports as plain JSON, to change at will, and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from evalharness.report.json import as_json_text
from evalharness.report.registry import SECTIONS
from evalharness.report.section import ReportData


def json_of(report: ReportData) -> dict[str, Any]:
    """What ``report --json`` prints, parsed."""
    values: dict[str, Any] = json.loads(as_json_text(report))
    return values


def report_of(values: dict[str, Any]) -> ReportData:
    """The report of such JSON."""
    types = {section.key: section.type for section in SECTIONS if section.build is not None}
    return ReportData({key: msgspec.convert(values[key], kind) for key, kind in types.items()})
