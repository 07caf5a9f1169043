"""The tables and answers of a report on a terminal."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build.report_data import Report, build_report
from evalharness.report.console.report import print_report
from evalharness.report.console.settings_tables import settings_tables
from evalharness.report.words.format_numbers import DASH
from evalharness.store.folder.run import Run
from tests.imported_run import write_run

Row = dict[str, Any]


def printed(data: Row, width: int) -> str:
    """What the console shows at a width."""
    out = io.StringIO()
    print_report(data, Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut_in_the_width_there_is(sweep: Report, width: int) -> None:
    """With every mishap there is, all headings and all names are whole, and no line is too long."""
    data = copy.deepcopy(sweep.data)
    for row in data["settings"]:
        for status in ("truncated", "empty", "refused", "error"):
            row["status"][status] = 5
        row["trials"] += row["axes"]["temperature"] > 0
    shown = printed(data, width)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for heading in ("trials", "cut/empty", "/refused/error %", "p50/p95", "cost $"):
        assert heading in shown
    tables = settings_tables(data["settings"], width)
    assert len(tables) > 1
    for row in data["settings"]:
        assert shown.count(row["label"] + " ") >= len(tables)


def test_a_table_that_fits_is_one(sweep: Report) -> None:
    """Nothing is split that has its room; equal numbers of trials stand in the heading alone."""
    assert len(settings_tables(sweep.data["settings"], 200)) == 1
    assert "trials" not in printed(sweep.data, 200)
    assert "40 prompts × 8 settings × 3 repeats · 960 records" in printed(sweep.data, 200)


def test_the_console_tells_what_stands_in_the_way(sweep: Report) -> None:
    """An answer that names nobody says why; one without a figure shows no dash for it."""
    data = copy.deepcopy(sweep.data)
    found = data["leaders"]["score"]
    found["group"] = [found["setting_id"], *(row["setting_id"] for row in found["others"])]
    for row in data["settings"]:
        row["cost_usd"].update(total=None, per_1k_requests=None)
    data["leaders"]["cost_usd"] = None
    shown = printed(data, 400)
    assert "no other setting is detectably worse at this size." in shown
    assert "Cheapest: Not known. No price is known for these models." in shown
    assert f"Not known, {DASH}" not in shown


@pytest.mark.parametrize(
    ("target", "overrides", "told"),
    [
        (
            "Rome",
            (),
            "No scorer is chosen; 1 prompt has a target: evalharness report r scoring=exact",
        ),
        (None, (), "No scorer is chosen, and no prompt has a `target` to score against"),
        (None, ("scoring=exact",), "Scorer exact gave no score: no target (2)."),
    ],
)
def test_the_console_tells_why_nothing_is_scored(
    target: str | None, overrides: tuple[str, ...], told: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Which of the three it is, and what to type where targets wait for a scorer."""
    monkeypatch.chdir(tmp_path)
    write_run([{"prompt_id": "p", "temperature": t, "text": "a", "target": target} for t in (0, 1)])
    shown = printed(build_report(Run.open("r"), parse_overrides(overrides)).data, 400)
    assert f"Best score: Not known. {told}" in shown


# --- export --------------------------------------------------------------------------------------
