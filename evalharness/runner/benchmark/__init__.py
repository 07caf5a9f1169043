"""Benchmarks: requests sent by a schedule, or as many at a time as were asked for.

A :class:`LoadRunner` measures one load point after the other. For each, a producer makes attempts
ready a little ahead; an open loop takes one whenever the schedule says so and sends it whatever
has come back, a closed loop takes one whenever one of its places is free.
"""

from __future__ import annotations

from evalharness.runner.benchmark.load_point import Point
from evalharness.runner.benchmark.runner import LoadRunner

__all__ = ["LoadRunner", "Point"]
