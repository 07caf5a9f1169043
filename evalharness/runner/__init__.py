"""Trials → records: the asynchronous loop between a plan and a run folder."""

from __future__ import annotations

from evalharness.runner.lane import Lane
from evalharness.runner.loop import Runner
from evalharness.runner.outcome import Stop, Summary

__all__ = ["Lane", "Runner", "Stop", "Summary"]
