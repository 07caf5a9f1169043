"""Reports of runs that left none of their present records: imports, and runs that were stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from evalharness.cli.listing.results_folder import RunFiles
from evalharness.cli.listing.run_row import DAMAGED, ListedRun, read_row
from evalharness.errors import EvalharnessError


def lacks_figures(row: ListedRun) -> bool:
    """Whether a run has records, and no report of them."""
    return bool(row.records) and row.cost_unknown is None


def can_compute(files: RunFiles, row: ListedRun) -> bool:
    """Whether :func:`compute_figures` would write the missing report of a run."""
    ends = row.status not in (DAMAGED, "running")
    return lacks_figures(row) and files.root is not None and ends


def compute_figures(files: Sequence[RunFiles], rows: Sequence[ListedRun]) -> list[ListedRun]:
    """The rows, with figures where they were missing; their ``summary.json`` is written for it.

    A run that goes on is left alone, and so is one in an object store.

    Args:
        files: of the runs, in any order.
        rows: of the same runs.
    """
    by_location = {each.location: each for each in files}
    return [
        _with_figures(by_location[row.run], row) if can_compute(by_location[row.run], row) else row
        for row in rows
    ]


def _with_figures(files: RunFiles, row: ListedRun) -> ListedRun:
    from evalharness.report.build_report import build_report
    from evalharness.report.json import write_summary
    from evalharness.store.folder.run import Run

    assert files.root is not None
    try:
        write_summary(files.root, build_report(Run.open(files.root.absolute())).data)
    except EvalharnessError as error:
        print(f"{row.run}: no figures: {error.message}", file=sys.stderr)
        return msgspec.structs.replace(row, problem=row.problem or error.message)
    return read_row(files) or row
