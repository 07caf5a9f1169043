"""Benchmarks: requests sent by a schedule, or a fixed number at a time.

A :class:`LoadRunner` measures one load point after the other. For each, a prefetcher prepares
attempts a little before they are needed. An open loop sends one whenever the schedule says so,
whatever has come back; a closed loop sends one whenever one of its slots is free.
"""

from __future__ import annotations

from evalharness.runner.benchmark.point import LoadPointTask
from evalharness.runner.benchmark.point_plan import LoadPointPlan
from evalharness.runner.benchmark.runner import LoadRunner

__all__ = ["LoadPointPlan", "LoadPointTask", "LoadRunner"]
