"""The tables and answers of a report on a terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build_report import Report, build_report
from evalharness.report.console_report import print_report
from evalharness.report.words.format_numbers import DASH
from evalharness.store.folder.run import Run
from tests.imported_run import write_run
from tests.report.json_reports import json_of, report_of

Row = dict[str, Any]


def printed(data: Row, width: int) -> str:
    """What the console shows at a width."""
    out = io.StringIO()
    print_report(report_of(data), Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_a_table_that_fits_is_one(sweep: Report) -> None:
    """Nothing is split that has its room; equal numbers of trials stand in the heading alone."""
    assert "trials" not in printed(json_of(sweep.data), 200)
    assert "40 prompts × 8 settings × 3 repeats · 960 records" in printed(json_of(sweep.data), 200)


def test_the_console_tells_what_stands_in_the_way(sweep: Report) -> None:
    """An answer that names nobody says why; one without a figure shows no dash for it."""
    data = json_of(sweep.data)
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
    report = build_report(Run.open("r"), parse_overrides(overrides))
    shown = printed(json_of(report.data), 400)
    assert f"Best score: Not known. {told}" in shown
