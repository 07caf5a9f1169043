"""Sentences about how a run went: limits of concurrency, records without a score."""

from __future__ import annotations

from collections import Counter
from typing import Any


def concurrency_lines(throttle: list[dict[str, Any]]) -> list[str]:
    """How adaptive concurrency changed the limits: one line for each endpoint and session.

    There is none where it was off.

    Args:
        throttle: see :func:`~evalharness.report.build.provenance.provenance`.
    """
    return [_concurrency(entry) for entry in throttle if entry["adaptive"]]


def _concurrency(entry: dict[str, Any]) -> str:
    changes: list[dict[str, Any]] = entry["changes"]
    limits = [change["limit"] for change in changes]
    reasons = Counter(change["reason"] for change in changes[1:])
    why = ", ".join(f"{count}× {reason}" for reason, count in reasons.most_common())
    course = f"{limits[0]} at first, {min(limits)} to {max(limits)}, {limits[-1]} at last"
    return f"{entry['endpoint']}: {course if why else f'{limits[0]} throughout'}" + (
        f" ({why})" if why else ""
    )


def unscored_text(reasons: list[dict[str, Any]]) -> str:
    """The reasons why records have no score, each with the number of records."""
    return "; ".join(f"{entry['reason']} ({entry['n']:,})" for entry in reasons)
