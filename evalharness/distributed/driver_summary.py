"""Sums up workers that have ended: counts, times, concurrency limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from evalharness.config.models import LimitsConfig
from evalharness.distributed.messages import WorkerDone
from evalharness.runner.run_summary import RunSummary
from evalharness.runner.throttle_history import append_history
from evalharness.throttle.concurrency import LimitRecord


def add_worker(summary: RunSummary, done: WorkerDone) -> None:
    """Add the counts of one worker to those of all."""
    summary.sent += done.sent
    summary.retried += done.retried
    summary.in_doubt += done.in_doubt
    summary.prompt_tokens += done.prompt_tokens
    summary.completion_tokens += done.completion_tokens
    summary.unsaved += done.unsaved
    if done.billed_usd is not None:
        summary.billed_usd = (summary.billed_usd or Decimal(0)) + done.billed_usd


def session_entry(
    summary: RunSummary, results: Sequence[WorkerDone], workers: int
) -> dict[str, Any]:
    """A session as the manifest keeps it; times are the worst of any worker."""
    sessions = [result.session for result in results]
    summary.cpu_s = max((session["cpu_s"] for session in sessions), default=0.0)
    worst = {
        key: max((session[key] for session in sessions), key=lambda lag: lag["p99"] or 0.0)
        for key in ("loop_lag_s", "commit_wait_s")
        if sessions
    }
    return {
        "seconds": round(summary.seconds, 3),
        "cpu_s": round(summary.cpu_s, 3),
        "sent": summary.sent,
        "recorded": summary.recorded,
        "workers": workers,
        **worst,
    }


class _History(NamedTuple):
    history: list[LimitRecord]
    history_omitted: int


def throttle_history(
    earlier: list[dict[str, Any]],
    histories: Mapping[str, tuple[list[LimitRecord], int]],
    limits: LimitsConfig,
) -> list[dict[str, Any]]:
    """``throttle`` of the manifest: earlier sessions, and the coordinator's histories."""
    current = {name: _History(*history) for name, history in histories.items()}
    return append_history(earlier, current, limits)
