"""The load of a benchmark: how requests arrive, and what a load point must meet."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evalharness.config.number_types import Count, NonNegative, Positive


class SloConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a request must meet to count as good; null asks nothing. Seconds, as the user waits.

    ``tpot_s`` is time per output token after the first.
    """

    ttft_s: Positive | None = None
    tpot_s: Positive | None = None
    latency_s: Positive | None = None


class SearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Looking for the highest rate that meets the SLO: doubling, then bisection.

    The first rate is ``load.rate``. ``goodput`` is the share of requests that must meet every
    limit of ``load.slo``; ``precision`` is the width of the final interval as a share of its upper
    end; no rate above ``max_rate`` (requests/s) is tried, and at most ``max_points`` of them.
    """

    goodput: Annotated[float, Meta(gt=0, le=1)] = 0.95
    precision: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    max_rate: Positive = 1000.0
    max_points: Annotated[int, Meta(ge=1, le=64)] = 16


class LoadSweepConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Finding idle, knee and saturation of a server with few load points (``docs/load-sweep.md``).

    ``over`` is what is raised: the ``rate`` of an open loop, or the ``concurrency`` of a closed
    one. The knee of a rate is the highest at which the median latency is at most ``slowdown`` times
    that of one request at a time; ``precision`` is the width of its last interval as a share of its
    upper end. At most ``points`` load points are measured. ``max_concurrency`` requests are in
    flight to saturate the server; no rate above ``max_rate`` (requests/s) is tried.
    """

    over: Literal["rate", "concurrency"] = "rate"
    points: Annotated[int, Meta(ge=3, le=64)] = 8
    slowdown: Annotated[float, Meta(gt=1)] = 2.0
    precision: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    max_concurrency: Annotated[int, Meta(ge=2, le=100_000)] = 64
    max_rate: Positive | None = None


class ThinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a user thinks between an answer and the next turn of a conversation.

    ``mean_s`` is the mean of every ``distribution``, in seconds. ``cv`` is the coefficient of
    variation of ``lognormal`` (standard deviation / mean), default 1. ``max_s`` cuts longer times
    short, which makes the mean smaller.
    """

    distribution: Literal["fixed", "exponential", "lognormal"] = "fixed"
    mean_s: NonNegative
    cv: Positive | None = None
    max_s: NonNegative | None = None


class LoadConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How requests arrive in a benchmark, when a load point ends, and what makes it invalid.

    Attributes:
        arrival: ``closed`` keeps ``concurrency`` requests in flight; the others are open loops,
            which send by schedule whatever comes back: ``constant`` and ``poisson`` at ``rate``,
            ``gamma`` with ``burstiness``, ``ramp`` from ``start_rate`` to ``rate``, ``replay`` at
            the seconds in the dataset's ``column``, of a trace, or of the run ``from``.
        rate: requests/s of a load point.
        start_rate: requests/s at the beginning of a ramp.
        burstiness: shape of the gamma-distributed gaps: 1 is Poisson, below is burstier.
        column: dataset column with seconds, for ``replay``; a trace has its own.
        from_run: ``from``: a run, or one of its load points as ``RUN:2``; a ``replay`` sends its
            requests when they were due there.
        speed: how many times faster than recorded a replay runs.
        concurrency: requests in flight (closed), or the most there may be (open, default 1024).
        background: further requests that a closed loop keeps in flight, of the dataset's rows with
            ``background: true``; recorded, and in no figure.
        block: which of several measurements of one load this is, in a sweep that measures it again.
        seed: of the random gaps, and of think times.
        requests: measured requests of a load point; null is prompts × settings × repeats, or as
            many as ``duration_s`` holds.
        sessions: measured conversations of a load point, in place of ``requests``; null is
            conversations × settings × repeats, or as many as ``duration_s`` holds.
        think_s: seconds between an answer and the next turn of its conversation: a number, or a
            distribution with its ``mean_s``; null sends the next turn at once. With conversations
            ``rate`` and ``concurrency`` count these, and not requests.
        duration_s: measured seconds of a load point.
        warmup_requests, warmup_s: what goes before at the same load; sent, recorded, left out.
        max_error_share: a load point ends when more of its requests failed (after 20 results).
        stop_when_oversaturated: a load point of an open loop ends when its requests in flight and
            its times to first token (latencies, where answers are not streamed) keep growing.
        max_behind_s: an open loop ends when a request waited that long for a place in flight.
        max_attempts: HTTP tries of a request; above 1, retries are counted in the report.
        slo: what goodput is measured against.
        max_delay_s: a load point whose requests were sent later than this (99th percentile;
            the worst below 100 requests) is invalid.
        min_rate_share: nor may the achieved rate (closed loop: concurrency) be a smaller share of
            what was asked for.
        search: look for the highest rate that meets the SLO.
        sweep: find idle, knee and saturation.
    """

    arrival: Literal["closed", "constant", "poisson", "gamma", "ramp", "replay"] = "closed"
    rate: Positive | None = None
    start_rate: NonNegative | None = None
    burstiness: Positive = 1.0
    column: str | None = None
    from_run: str | None = msgspec.field(default=None, name="from")
    speed: Positive = 1.0
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    background: Annotated[int, Meta(ge=0, le=100_000)] = 0
    block: Count = 1
    seed: Annotated[int, Meta(ge=0)] = 0
    requests: Count | None = None
    sessions: Count | None = None
    think_s: NonNegative | ThinkConfig | None = None
    duration_s: Positive | None = None
    warmup_requests: Annotated[int, Meta(ge=0)] = 0
    warmup_s: NonNegative = 0.0
    max_error_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_when_oversaturated: bool = False
    max_behind_s: Positive = 10.0
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 1
    slo: SloConfig = SloConfig()
    max_delay_s: Positive = 0.1
    min_rate_share: Annotated[float, Meta(gt=0, le=1)] = 0.95
    search: SearchConfig | None = None
    sweep: LoadSweepConfig | None = None
