"""A section of the report: how long the outputs of each setting are."""

from pathlib import Path
from typing import Any

import evalharness
from evalharness.plugins import SectionContent


def lengths(report: dict[str, Any], run: Path) -> SectionContent | None:
    """Make a section of the other sections' JSON and the run folder; None shows nothing."""
    records = evalharness.load(run).records()
    longest = records.assign(n=records["text"].str.len()).groupby("setting_id")["n"].max()
    rows = [[s["label"], longest.get(s["setting_id"])] for s in report["settings"]]
    return SectionContent(
        heading="Longest outputs",
        lines=[f"{len(records):,} records were measured."],
        columns=["setting", "characters"],
        rows=rows,
    )
