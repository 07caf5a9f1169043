"""Errors and attempts on the page, and the run over time."""

from __future__ import annotations

from evalharness.report.build.errors import AttemptCounts, QueueWait, RequestsInFlight
from evalharness.report.build_report import Report
from evalharness.report.section import PageContext, ReportData
from evalharness.report.sections.attempts.section import (
    ERRORS,
    TIMELINE,
    AttemptsView,
)
from evalharness.report.sections.run import RUN
from evalharness.report.sections.settings.section import SETTINGS
from tests.report import runs


def _view(report: ReportData) -> AttemptsView:
    assert ERRORS.page is not None
    view = ERRORS.page.view(PageContext(report, {}, 0))
    assert isinstance(view, AttemptsView)
    return view


def test_the_time_line_holds_every_trial(sweep: Report) -> None:
    """Bins partition the trials."""
    timeline = sweep.data[TIMELINE]
    assert timeline is not None
    assert sum(a_bin.trials for a_bin in timeline.bins) == sweep.data[RUN].records
    assert timeline.length_s < 600.0


def test_an_imported_run_has_errors_and_no_attempts(hostile: Report) -> None:
    """Errors are named by the label of their setting; of attempts nothing is known."""
    view = _view(hostile.data)
    assert not view.facts
    assert not view.retries
    label = hostile.data[SETTINGS][1].label
    [(name, errors)] = view.errors
    assert (name, errors.count) == (label, len(runs.PAYLOADS))


def test_what_is_known_of_attempts_is_shown(hostile: Report) -> None:
    """Waits that did not occur, and figures that are unknown, have no line."""
    counts = AttemptCounts(
        total=1200, trials_retried=3, outcomes={"delivered": 1197, "not_sent": 3}, failed=[],
        wait_s_total=0.0, queue_s=QueueWait(p50=None, p95=None),
        in_flight=RequestsInFlight(mean=2.5, max=8),
    )  # fmt: skip
    settings, errors = hostile.data[SETTINGS], hostile.data[ERRORS]
    data = ReportData({"settings": settings, "errors": errors, "attempts": counts})
    assert _view(data).facts == [
        ("HTTP attempts", "1,200 (1,197 delivered, 3 not sent)"),
        ("Trials tried again", "3"),
        ("In flight", "2.5 on average, 8 at most"),
    ]


def test_a_run_without_sending_times_has_no_plots(hostile: Report) -> None:
    assert ERRORS.page is not None
    assert hostile.data[TIMELINE] is None
    assert ERRORS.page.charts(PageContext(hostile.data, {}, 0)) == []
