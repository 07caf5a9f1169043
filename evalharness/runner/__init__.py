"""Trials → records: the asynchronous loop between a plan and a run folder."""

from __future__ import annotations

from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.loop import Runner
from evalharness.runner.run_summary import RunSummary, StopReason

__all__ = ["EndpointRuntime", "RunSummary", "Runner", "StopReason"]
