"""What the sections of a report are built from."""

from __future__ import annotations

from typing import Any, NamedTuple

from evalharness.report.build.attempts import AttemptStats
from evalharness.report.build.open_run import RunData, RunSource


class BuildContext(NamedTuple):
    """A run that has been read, and the sections built before.

    Attributes:
        source: the run before its records were read, with the overrides.
        run_data: the run with its scores and costs.
        attempts: counts and costs of its HTTP attempts.
        sections: the data of the sections built so far, by key.
        shared: what sections of one task compute once; see ``report/section.py``.
    """

    source: RunSource
    run_data: RunData
    attempts: AttemptStats
    sections: dict[str, Any]
    shared: dict[str, Any]
