"""The metrics that settings are compared in."""

from __future__ import annotations

#: Metrics from 0 to 1; ``score.NAME`` of a further scorer is one, too.
SHARE_METRICS = ("score", "agreement", "agreement_answer")
#: Metrics in seconds, tokens and dollars, which differ by factors.
AMOUNT_METRICS = ("latency_s", "completion_tokens", "cost_usd")
METRICS = SHARE_METRICS + AMOUNT_METRICS

#: The share of failed trials, over all trials of a cell.
ERROR_SHARE = "error_share"
_LOAD_SHARES = ("goodput", ERROR_SHARE)
_LOAD_AMOUNTS = ("ttft_s", "tpot_s", "itl_s")
#: Metrics of streams, benchmarks and errors: ``compare`` has them, the headline of a report does
#: not, which would have to allow for them in every other line.
LOAD_METRICS = (*_LOAD_AMOUNTS, *_LOAD_SHARES)
#: Rates of a load point as a whole, per second: no prompt has one.
RATE_METRICS = ("throughput_per_s", "output_tokens_per_s", "saturation_per_s")
ALL_METRICS = METRICS + LOAD_METRICS + RATE_METRICS
#: Metrics in seconds.
TIME_METRICS = ("latency_s", *_LOAD_AMOUNTS)


def is_share(metric: str) -> bool:
    """Whether a metric is a share, from 0 to 1."""
    return metric.partition(".")[0] in (*SHARE_METRICS, *_LOAD_SHARES)


def is_amount(metric: str) -> bool:
    """Whether a metric is an amount, which differs by factors and has no upper bound."""
    return metric in (*AMOUNT_METRICS, *_LOAD_AMOUNTS, *RATE_METRICS)
