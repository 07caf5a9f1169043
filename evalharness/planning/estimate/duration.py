"""Estimated time of the remaining trials under the configured limits."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.planning.estimate.history import ModelHistory, ModelKey
from evalharness.planning.estimate.ranges import EstimateRange
from evalharness.planning.plan import Plan

Floats = NDArray[np.float64]


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that each limit alone would take, and the longest of them; None is unknown.

    ``expected`` takes every limit that is known; ``high`` the most tokens. ``limited_by`` names the
    limit. Retries and the time of ramping up come on top.
    """

    expected: float | None
    high: float | None
    limited_by: str | None
    at_concurrency: float | None
    at_rpm: float | None
    at_tpm: float | None


def duration(
    plan: Plan,
    remaining: Floats,
    prompt: EstimateRange,
    output: float | None,
    max_output: float | None,
    histories: Mapping[ModelKey, ModelHistory],
    max_in_flight: int,
) -> Duration:
    """Estimate the time.

    Limits of requests and tokens hold for each provider on its own; requests in flight are counted
    over all. Tokens are shared out over providers by their number of requests.

    Args:
        plan: what to ask, with its limits.
        remaining: how often each prompt is to be sent under each setting.
        prompt: prompt tokens.
        output: completion tokens expected; None unknown, then ``max_output`` counts.
        max_output: completion tokens at most; None without a bound.
        histories: of the plan's models; their mean latency is read.
        max_in_flight: requests in flight at most.
    """
    limits = plan.config.limits
    requests: dict[str, float] = {}
    busy_s: float | None = 0.0
    for column, setting in enumerate(plan.settings):
        count = float(remaining[:, column].sum())
        requests[setting.provider] = requests.get(setting.provider, 0.0) + count
        history = histories.get((setting.provider, setting.model))
        latency = None if history is None else history.latency_s
        busy_s = (
            None
            if busy_s is None or (latency is None and count)
            else busy_s + count * (latency or 0)
        )
    total = sum(requests.values())
    busiest = max(requests.values(), default=0.0)
    share = busiest / total if total else 0.0
    at_concurrency = None if busy_s is None else busy_s / max_in_flight
    at_rpm = None if limits.rpm is None else 60.0 * busiest / limits.rpm
    tokens = _sum(prompt.expected, max_output if output is None else output)
    max_tokens = _sum(prompt.high, max_output)
    at_tpm, most_tpm = (
        None if limits.tpm is None or n is None else 60.0 * n * share / limits.tpm
        for n in (tokens, max_tokens)
    )
    by_limit = {"concurrency": at_concurrency, "rpm": at_rpm, "tpm": at_tpm}
    known_limits = {name: value for name, value in by_limit.items() if value is not None}
    slowest = max(known_limits, key=lambda name: known_limits[name], default=None)
    highest = [v for v in (at_concurrency, at_rpm, most_tpm) if v is not None]
    return Duration(
        expected=None if slowest is None else known_limits[slowest],
        high=max(highest, default=None),
        limited_by=slowest,
        at_concurrency=at_concurrency,
        at_rpm=at_rpm,
        at_tpm=at_tpm,
    )


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
