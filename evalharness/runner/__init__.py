"""Trials → records: the asynchronous loop between a plan and a run folder."""

from __future__ import annotations

from evalharness.runner.endpoint import Lane
from evalharness.runner.loop import Runner
from evalharness.runner.run_summary import Stop, Summary

__all__ = ["Lane", "Runner", "Stop", "Summary"]
