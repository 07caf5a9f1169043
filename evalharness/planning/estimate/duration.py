"""How long what is left takes at the configured limits."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.planning.estimate.history import Model, ModelFacts
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
    wanted: Floats,
    prompt: Mapping[str, float],
    output: float | None,
    most_output: float | None,
    facts: Mapping[Model, ModelFacts],
    at_once: int,
) -> Duration:
    """Estimate the time.

    Limits of requests and tokens hold for each provider on its own; requests in flight are counted
    over all. Tokens are shared out over providers by their number of requests.

    Args:
        plan: what to ask, with its limits.
        wanted: how often each prompt is to be sent under each setting.
        prompt: prompt tokens, ``expected`` and ``high``.
        output: completion tokens expected; None unknown, then ``most_output`` counts.
        most_output: completion tokens at most; None without a bound.
        facts: mean latency of the plan's models.
        at_once: requests in flight at most.
    """
    limits = plan.config.limits
    requests: dict[str, float] = {}
    busy: float | None = 0.0
    for column, setting in enumerate(plan.settings):
        count = float(wanted[:, column].sum())
        requests[setting.provider] = requests.get(setting.provider, 0.0) + count
        known = facts.get((setting.provider, setting.model))
        latency = None if known is None else known.latency_s
        busy = (
            None if busy is None or (latency is None and count) else busy + count * (latency or 0)
        )
    total = sum(requests.values())
    busiest = max(requests.values(), default=0.0)
    share = busiest / total if total else 0.0
    at_concurrency = None if busy is None else busy / at_once
    at_rpm = None if limits.rpm is None else 60.0 * busiest / limits.rpm
    tokens = _sum(prompt["expected"], most_output if output is None else output)
    most = _sum(prompt["high"], most_output)
    at_tpm, most_tpm = (
        None if limits.tpm is None or n is None else 60.0 * n * share / limits.tpm
        for n in (tokens, most)
    )
    named = {"concurrency": at_concurrency, "rpm": at_rpm, "tpm": at_tpm}
    found = {name: value for name, value in named.items() if value is not None}
    slowest = max(found, key=lambda name: found[name], default=None)
    highest = [v for v in (at_concurrency, at_rpm, most_tpm) if v is not None]
    return Duration(
        expected=None if slowest is None else found[slowest],
        high=max(highest, default=None),
        limited_by=slowest,
        at_concurrency=at_concurrency,
        at_rpm=at_rpm,
        at_tpm=at_tpm,
    )


def _sum(a: float, b: float | None) -> float | None:
    return None if b is None else a + b
