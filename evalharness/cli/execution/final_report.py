"""The report at the end of a run, and the objective of an optimising sweeper."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from evalharness.report.build.json import write_summary
from evalharness.report.build.report_data import Report, ReportOverrides, build_report
from evalharness.report.html import REPORT_FILE, start_engine, write_html
from evalharness.store.folder.run import Run


def print_report(root: Path) -> float | None:
    """Print the report at the end of a run, save it as JSON and HTML; returns the objective.

    The objective of an optimising sweeper is the mean score over settings, or the mean agreement
    when nothing is scored; None when neither is defined.
    """
    from evalharness.report.console.report import print_report as print_tables

    with closing(start_engine()) as engine:
        run_report = build_report(Run.open(root), ReportOverrides())
        write_summary(root, run_report.data)
        try:
            write_html(run_report, root / REPORT_FILE, engine=engine)
        finally:  # the tables are printed even when the page cannot be written
            print_tables(run_report.data)
    return objective(run_report)


def objective(run_report: Report) -> float | None:
    """The one number an optimising sweeper maximises."""
    for metric in (_mean_score, _raw_agreement):
        values = [v for row in run_report.data["settings"] if (v := metric(row)) is not None]
        if values:
            return sum(values) / len(values)
    return None


def _mean_score(row: dict[str, Any]) -> float | None:
    score: dict[str, Any] = row.get("score") or {}
    return score.get("mean")


def _raw_agreement(row: dict[str, Any]) -> float | None:
    return row["agreement"]["raw"].get("pairwise")
