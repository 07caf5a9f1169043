"""What workers that have ended come to together: counts, times, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from evalharness.config.models import LimitsConfig
from evalharness.distributed.messages import Ended
from evalharness.runner.run_summary import Summary
from evalharness.runner.throttle_history import with_history
from evalharness.throttle.concurrency import LimitRecord


def add_ended(summary: Summary, ended: Ended) -> None:
    """Add what one worker did to what all did."""
    summary.sent += ended.sent
    summary.retried += ended.retried
    summary.in_doubt += ended.in_doubt
    summary.prompt_tokens += ended.prompt_tokens
    summary.completion_tokens += ended.completion_tokens
    summary.unsaved += ended.unsaved
    if ended.billed_usd is not None:
        summary.billed_usd = (summary.billed_usd or Decimal(0)) + ended.billed_usd


def session_of(summary: Summary, ended: Sequence[Ended], workers: int) -> dict[str, Any]:
    """A session as the manifest keeps it: times are those of the worker that was worst off."""
    all_of = [one.session for one in ended]
    summary.cpu_s = max((one["cpu_s"] for one in all_of), default=0.0)
    worst = {
        key: max((one[key] for one in all_of), key=lambda lag: lag["p99"] or 0.0)
        for key in ("loop_lag_s", "commit_wait_s")
        if all_of
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


def throttle_of(
    before: list[dict[str, Any]],
    told: Mapping[str, tuple[list[LimitRecord], int]],
    limits: LimitsConfig,
) -> list[dict[str, Any]]:
    """The manifest's account of concurrency, with what the coordinator tells of its time."""
    return with_history(before, {name: _History(*one) for name, one in told.items()}, limits)
