"""The report's ``provenance``: what is needed to repeat a run, and to know what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa


def provenance(run: Run, settings: pa.Table) -> dict[str, Any]:
    """Describe how a run was made.

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
