"""Reports of runs that left none of their present records: imports, and runs that were stopped."""

from __future__ import annotations

import sys

import msgspec

from evalharness.errors import EvalharnessError
from evalharness.listing.results_folder import RunFiles
from evalharness.listing.run_row import DAMAGED, ListedRun, read_row


def can_compute(files: RunFiles, row: ListedRun) -> bool:
    """Whether a run has records, no report of them, and :func:`with_figures` would write one.

    A run that goes on is left alone, and so is one in an object store.
    """
    lacks_figures = bool(row.records) and row.cost_unknown is None
    return lacks_figures and files.root is not None and row.status not in (DAMAGED, "running")


def with_figures(files: RunFiles, row: ListedRun) -> ListedRun:
    """The row with its missing figures; the ``summary.json`` of the run is written for it."""
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
