"""Trials → records: the asynchronous loop between a plan and a run folder."""

from __future__ import annotations

from evalharness.runner.context import RunContext
from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.loop import Runner
from evalharness.runner.run_summary import RunSummary, StopReason

__all__ = ["EndpointRuntime", "RunContext", "RunSummary", "Runner", "StopReason"]
