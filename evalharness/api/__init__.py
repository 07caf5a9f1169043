"""``evalharness.load``: runs as pandas DataFrames."""

from __future__ import annotations

from evalharness.api.run_frames import RunFrames
from evalharness.api.run_set import RunSetFrames

__all__ = ["RunFrames", "RunSetFrames"]
