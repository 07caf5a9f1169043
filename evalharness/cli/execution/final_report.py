"""The report at the end of a run, and the objective of an optimising sweeper."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from evalharness.report.build.scoring import ReportOverrides
from evalharness.report.build_report import Report, build_report
from evalharness.report.html_report import REPORT_FILE, start_engine, write_html
from evalharness.report.json import write_summary
from evalharness.report.section import ReportData
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.store.folder.run import Run


def print_report(root: Path) -> float | None:
    """Print the report at the end of a run, save it as JSON and HTML; returns the objective.

    The objective of an optimising sweeper is the mean score over settings, or the mean agreement
    when nothing is scored; None when neither is defined.
    """
    from evalharness.report.console_report import print_report as print_tables

    return objective(write_report(root, print_tables))


def write_report(root: Path, show: Callable[[ReportData], None] | None = None) -> Report:
    """Save the report as JSON and HTML; ``show`` is called also where the page fails."""
    with closing(start_engine()) as engine:
        run_report = build_report(Run.open(root), ReportOverrides())
        write_summary(root, run_report.data)
        try:
            write_html(run_report, root / REPORT_FILE, engine=engine)
        finally:
            if show is not None:
                show(run_report.data)
    _write_card(Run.open(root))
    return run_report


def _write_card(run: Run) -> None:
    """Of a run of ``experiment=card``: its card, beside the report."""
    from evalharness.card.files import write_card
    from evalharness.card.read_answers import is_card_run

    if is_card_run(run):
        print(f"which parameters are honoured: {write_card(run)}")


def objective(run_report: Report) -> float | None:
    """The one number an optimising sweeper maximises."""
    rows = run_report.data[SETTINGS]
    for means in ([row.score.mean for row in rows], [row.agreement.raw.pairwise for row in rows]):
        values = [value for value in means if value is not None]
        if values:
            return sum(values) / len(values)
    return None
