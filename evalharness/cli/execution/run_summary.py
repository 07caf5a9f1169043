"""The closing lines of a run: what was sent, what is in doubt, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from evalharness.columnar.arrow_ops import where_equal
from evalharness.errors import EXIT_BUDGET, EXIT_CONFIG, EXIT_STORAGE, EvalharnessError
from evalharness.process.text import plural
from evalharness.report.html_report import REPORT_FILE
from evalharness.runner import RunSummary
from evalharness.store.folder.run import Run
from evalharness.store.remote.locations import display_path

_LIMIT = "limits.max_cost_usd"


def closing_lines(root: Path, summary: RunSummary, arguments: Sequence[str]) -> list[str]:
    """What was sent, what is in doubt, and the command that goes on; the last line is to type."""
    lines: list[str] = []
    location = display_path(root)
    if not summary.recorded and not summary.remaining:
        lines.append(
            f"nothing to send: all {summary.planned} trials are recorded in {location} "
            "(raise repeats=…, or add a value to an axis)"
        )
    else:
        rate = summary.recorded / summary.seconds if summary.seconds else 0.0
        waiting = f", {summary.waiting} wait in batches" if summary.waiting else ""
        answered = "requests answered or lost" if summary.waiting else "requests sent"
        lines.append(
            f"{summary.recorded} trials recorded in {summary.seconds:.1f} s ({rate:.1f}/s), "
            f"{summary.sent} {answered}, {summary.retried} of them retries{waiting}, "
            f"{summary.failed} trials failed; {summary.already_recorded} were recorded before"
        )
    in_doubt = _attempts_in_doubt(root)
    if in_doubt:
        lines.append(
            f"{plural(in_doubt, 'attempt')} of this run in doubt ({len(summary.in_doubt)} new): "
            "sent, outcome unknown, may have been billed "
            f"(outcome = 'in_doubt' in {location}/attempts)"
        )
    if summary.unsaved:
        lines.append(
            f"{plural(summary.unsaved, 'answer')} arrived and could not be saved: "
            "in doubt from now on"
        )
    if summary.quarantined:
        lines.append(
            f"the journal was damaged in {plural(summary.quarantined, 'place')}: what could not be "
            "trusted was set aside and its trials asked again "
            "(evalharness verify; notes in run.json)"
        )
    if summary.stop is not None:
        lines.append(f"stopped: {summary.stop.reason}")
        if summary.stop.hint:
            lines.append(f"  → {summary.stop.hint}")
    if summary.exit_code == EXIT_BUDGET:
        arguments = with_higher_limit(arguments)
    command = shlex.join(["evalharness", "run", *arguments])
    if summary.remaining:
        first = ", once that is put right" if summary.exit_code == EXIT_CONFIG else ""
        lines.append(f"{summary.remaining} trials left{first}; to go on: {command}")
    elif summary.exit_code == EXIT_STORAGE:
        lines.append(f"every trial is recorded, not all are sealed; to go on: {command}")
    else:
        page = root / REPORT_FILE
        if page.is_file():
            lines.append(f"with figures, in a browser: {page}")
        lines.append(f"again: evalharness report {shlex.quote(location)}")
    return lines


def with_higher_limit(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command that reached its cost limit, with a placeholder for a new one."""
    others = [a for a in arguments if a.lstrip("+").partition("=")[0] != _LIMIT]
    return [*others, f"{_LIMIT}=NEW"]


def _attempts_in_doubt(root: Path) -> int:
    """Attempts of all sessions whose outcome is unknown; 0 also where the folder is unreadable."""
    try:
        attempts = Run.open(root).table("attempts", ["trial_id", "outcome"])
    except EvalharnessError:
        return 0
    return len(where_equal(attempts, "outcome", "in_doubt"))
