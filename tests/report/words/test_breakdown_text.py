"""The table of breakdowns."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from evalharness.report.build.report_data import Report
from evalharness.report.html import write_html
from evalharness.report.words.breakdown_text import TITLES, circumstance_tables


def _group(name: str, agreement: float, pairs: int) -> dict[str, Any]:
    return {"group": name, "agreement": agreement, "pairs": pairs, "prompts": 9}


def test_circumstances_that_varied_have_a_table(sweep: Report, tmp_path: Path) -> None:
    """One row a setting that has such pairs, one column a group; what never varied has none."""
    data = copy.deepcopy(sweep.data)
    for part in data["breakdowns"]:
        for name in TITLES:
            part[name] = [_group("equal", 1.0, 3), _group("unknown", 1.0, 3)]
    assert circumstance_tables(data, 50) == []
    assert "What went with it" not in view_page(data, sweep, tmp_path)
    first, second, *rest = data["breakdowns"]
    first["system_fingerprint"] = [_group("equal", 0.5, 1200), _group("different", 0.25, 1)]
    first["in_flight"] = [_group("17-64", 0.5, 3), _group("> 256", 0.1, 3)]
    second["in_flight"] = [_group("5-16", 0.75, 3)]
    for part in rest:
        part["in_flight"] = []
    prints, busy = circumstance_tables(data, 2)
    assert prints.headings[1:] == ["equal", "different"]
    label = data["settings"][0]["label"]
    assert prints.rows[0] == [label, "50\u00a0% (1,200 pairs)", "25\u00a0% (1 pair)"]
    assert (len(prints.rows), prints.more) == (2, len(data["settings"]) - 2)
    assert busy.headings[1:] == ["5-16", "17-64", "> 256"]
    assert busy.rows[1][1:] == ["75\u00a0% (3 pairs)", "—", "—"]
    assert busy.more == 0
    page = view_page(data, sweep, tmp_path)
    assert "What went with it" in page
    assert "25\u00a0% (1 pair)" in page


def view_page(data: dict[str, Any], built: Report, folder: Path) -> str:
    """The HTML of changed data."""
    write_html(built._replace(data=data), folder / "page.html")
    return (folder / "page.html").read_text("utf-8")
