"""The metrics that settings are compared in."""

from __future__ import annotations

#: Metrics from 0 to 1; ``score.NAME`` of a further scorer is one, too.
SHARE_METRICS = ("score", "agreement", "agreement_answer")
#: Metrics in seconds, tokens and dollars, which differ by factors.
AMOUNT_METRICS = ("latency_s", "completion_tokens", "cost_usd")
METRICS = SHARE_METRICS + AMOUNT_METRICS


def is_share(metric: str) -> bool:
    """Whether a metric is a share, from 0 to 1."""
    return metric.partition(".")[0] in SHARE_METRICS
