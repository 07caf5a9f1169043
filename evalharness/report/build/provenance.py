"""Where a result comes from: enough to run it again, and to know what ran."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


def provenance(run: Run, settings: pa.Table) -> dict[str, Any]:
    """Describe what made a run.

    Returns:
        ``environment`` (versions and machine), ``endpoints`` that answered, ``files`` with their
        ``rows`` and ``bytes``, ``config`` (the resolved YAML, which holds no secret; null for an
        import), ``sessions`` as the runner noted them, and ``throttle``: for each session and
        endpoint how many requests might be in flight, by time, with the reasons for each change
        (``endpoint``, ``adaptive``, ``rpm``, ``tpm``, ``changes``, ``omitted``).
    """
    manifest = run.manifest
    endpoints = {str(name) for name in settings["endpoint"].to_pylist() if name is not None}
    return {
        "environment": manifest.environment,
        "endpoints": sorted(endpoints),
        "files": [{"path": p.path, "rows": p.rows, "bytes": p.bytes} for p in manifest.parts],
        "config": run.config_yaml,
        "sessions": manifest.sessions,
        "throttle": manifest.throttle,
    }


def concurrency_lines(throttle: list[dict[str, Any]]) -> list[str]:
    """What adaptive concurrency did, one line an endpoint and session: nothing where it was off.

    Args:
        throttle: as in :func:`provenance`.
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
