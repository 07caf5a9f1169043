"""The small dataset, for every test of planning."""

from __future__ import annotations

from tests.planning.small_plan import dataset

__all__ = ["dataset"]
