"""RunConfig and its parts: typed, with ranges, nothing unknown let through.

Built by :mod:`evalharness.cli.compose` from Hydra's output with :func:`parse_run_config`. A wrong
key, type or range raises ConfigError naming the key as it is typed on the command line. ``None``
means "not sent" in ``params`` and "no limit" in ``limits``. Ranges of sampling parameters belong to
a provider profile (:class:`Profile`), since providers differ; what is checked here holds
everywhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evalharness.config.validation import convert, suggest_name
from evalharness.parameters import RANGED, Parameter, Range

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
RunName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _ConfigPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part: an unknown key is an error."""


class Profile(_ConfigPart, frozen=True):
    """What differs between providers: ranges, limits and the meaning of their errors.

    Attributes:
        ranges: closed ranges by parameter, ``[lowest, highest]``, checked before anything is sent;
            null is no bound on that side. A parameter without one has the range of the table of
            parameters.
        max_stop: how many stop sequences are accepted.
        fatal_codes: error codes or words in an error message that mean the account itself is
            out of money or closed; they stop the run (exit 3).
        quota_is_money: whether ``insufficient_quota`` on 429 means no money (OpenAI) rather than
            tokens per minute (DashScope).
        failed_calls_billed: whether a failed call may cost money; None is unknown.
        per_second_caps: the provider also enforces its per-minute limits second by second.
        price_source: name of the price table this provider is looked up in, None for its own name.
        stream_usage: send ``stream_options.include_usage`` with streamed requests unless set.
    """

    ranges: dict[str, Range] = {}
    max_stop: int | None = 4
    fatal_codes: list[str] = []
    quota_is_money: bool = False
    failed_calls_billed: bool | None = None
    per_second_caps: bool = False
    price_source: str | None = None
    stream_usage: bool = True

    def __post_init__(self) -> None:
        """Refuse a range of what is no numeric parameter."""
        for name in self.ranges:
            if name not in RANGED:
                raise ValueError(
                    f"`ranges`: `{name}` is not a numeric parameter: {suggest_name(name, RANGED)}"
                )

    def range_of(self, parameter: Parameter) -> Range:
        """The range of a parameter here: the profile's own, else that of every provider."""
        return self.ranges.get(parameter.name, parameter.range)


class ProviderConfig(_ConfigPart, frozen=True):
    """Who answers.

    ``kind`` is ``remote`` (any base URL), ``local`` (llama.cpp in a child process) or ``emulator``
    (the rehearsal server in a child process). ``api_key_env`` is the *name* of the environment
    variable that holds the key; None sends no key (only allowed on loopback).
    """

    kind: Literal["remote", "local", "emulator"]
    name: str
    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    headers: dict[str, str] = {}
    profile: Profile = Profile()
    # local only
    model_path: str | None = None
    parallel: Count = 4
    context_tokens: Count = 2048
    threads: Annotated[int, Meta(ge=1)] | None = None
    # emulator only: options of `evalharness serve emulator`
    emulator: dict[str, Any] = {}


class DatasetConfig(_ConfigPart, frozen=True):
    """Which prompts; ``template`` is Jinja for the user message, ``system`` a system prompt."""

    path: str
    limit: Count | None = None
    sample: Count | None = None
    sample_seed: int = 0
    where: str | None = None
    template: str | None = None
    system: str | None = None


class OrderConfig(_ConfigPart, frozen=True):
    """In what order trials are sent.

    ``interleaved`` visits every prompt × setting once before any repeat comes again; ``blocked``
    sends the repeats of one prompt × setting together. Both shuffle by ``shuffle_seed``.
    """

    shuffle_seed: int = 0
    repeats: Literal["interleaved", "blocked"] = "interleaved"


class LimitsConfig(_ConfigPart, frozen=True):
    """What may not be exceeded. Seconds end in ``_s``; None is no limit."""

    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 8
    adaptive: bool = False
    rpm: Positive | None = None
    tpm: Positive | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    in_doubt_retries: Annotated[int, Meta(ge=0)] = 1
    max_wait_s: NonNegative = 900.0
    drain_s: NonNegative = 60.0
    max_cost_usd: Decimal | None = None
    confirm_above_usd: Decimal | None = Decimal(1)
    timeout_connect_s: Positive = 10.0
    timeout_write_s: Positive = 60.0
    timeout_first_byte_s: Positive = 120.0
    timeout_stall_s: Positive = 60.0
    timeout_total_s: Positive = 600.0
    max_response_mib: Positive = 16.0
    trust_env_proxies: bool = False

    def __post_init__(self) -> None:
        for name in ("max_cost_usd", "confirm_above_usd"):
            value: Decimal | None = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                raise ValueError(f"`{name}` must be 0 or more (US dollars), got {value}")


class ExecutionConfig(_ConfigPart, frozen=True):
    """Where the run's requests are sent from.

    Attributes:
        engine: ``local`` is this process; ``ray`` is ``workers`` processes that Ray starts.
        workers: how many; no more than ``limits.concurrency``, which is their total.
        address: of a Ray cluster (``auto``: the one this machine belongs to); None starts a Ray
            of our own on this machine, for the length of the run.
        journal_dir: absolute path of a folder on each node's own disk for its workers' journals;
            None keeps them in the run folder.
        shard_trials: how many trials a worker takes at a time; None: by the size of the plan.
    """

    engine: Literal["local", "ray"] = "local"
    workers: Annotated[int, Meta(ge=1, le=10_000)] = 2
    address: str | None = None
    journal_dir: str | None = None
    shard_trials: Count | None = None


class SloConfig(_ConfigPart, frozen=True):
    """What a request must meet to count as good; null asks nothing. Seconds, as the user waits.

    ``tpot_s`` is time per output token after the first.
    """

    ttft_s: Positive | None = None
    tpot_s: Positive | None = None
    latency_s: Positive | None = None


class SearchConfig(_ConfigPart, frozen=True):
    """Looking for the highest rate that meets the SLO: doubling, then bisection.

    The first rate is ``load.rate``. ``goodput`` is the share of requests that must meet every
    limit of ``load.slo``; ``precision`` is the width of the final interval as a share of its upper
    end; no rate above ``max_rate`` (requests/s) is tried, and at most ``max_points`` of them.
    """

    goodput: Annotated[float, Meta(gt=0, le=1)] = 0.95
    precision: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    max_rate: Positive = 1000.0
    max_points: Annotated[int, Meta(ge=1, le=64)] = 16


class LoadConfig(_ConfigPart, frozen=True):
    """How requests arrive in a benchmark, when a load point ends, and what makes it invalid.

    Attributes:
        arrival: ``closed`` keeps ``concurrency`` requests in flight; the others are open loops,
            which send by schedule whatever comes back: ``constant`` and ``poisson`` at ``rate``,
            ``gamma`` with ``burstiness``, ``ramp`` from ``start_rate`` to ``rate``, ``replay`` at
            the seconds in the dataset's ``column``.
        rate: requests/s of a load point.
        start_rate: requests/s at the beginning of a ramp.
        burstiness: shape of the gamma-distributed gaps: 1 is Poisson, below is burstier.
        column: dataset column with seconds, for ``replay``.
        speed: how many times faster than recorded a replay runs.
        concurrency: requests in flight (closed), or the most there may be (open, default 1024).
        seed: of the random gaps.
        requests: measured requests of a load point; null is prompts × settings × repeats, or as
            many as ``duration_s`` holds.
        duration_s: measured seconds of a load point.
        warmup_requests, warmup_s: what goes before at the same load; sent, recorded, left out.
        max_error_share: a load point ends when more of its requests failed (after 20 results).
        max_behind_s: an open loop ends when a request waited that long for a place in flight.
        max_attempts: HTTP tries of a request; above 1, retries are counted in the report.
        slo: what goodput is measured against.
        max_delay_s: a load point whose requests were sent later than this (99th percentile;
            the worst below 100 requests) is invalid.
        min_rate_share: nor may the achieved rate (closed loop: concurrency) be a smaller share of
            what was asked for.
        search: look for the highest rate that meets the SLO.
    """

    arrival: Literal["closed", "constant", "poisson", "gamma", "ramp", "replay"] = "closed"
    rate: Positive | None = None
    start_rate: NonNegative | None = None
    burstiness: Positive = 1.0
    column: str | None = None
    speed: Positive = 1.0
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 0
    requests: Count | None = None
    duration_s: Positive | None = None
    warmup_requests: Annotated[int, Meta(ge=0)] = 0
    warmup_s: NonNegative = 0.0
    max_error_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_behind_s: Positive = 10.0
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 1
    slo: SloConfig = SloConfig()
    max_delay_s: Positive = 0.1
    min_rate_share: Annotated[float, Meta(gt=0, le=1)] = 0.95
    search: SearchConfig | None = None


class RunConfig(_ConfigPart, frozen=True):
    """A whole run, as validated. ``sweep`` maps axis names to values (see ``planning/sweep.py``).

    ``load`` is None for batch evaluation (closed loop at ``limits.concurrency``). ``results_dir``
    is a path, or a URL (``s3://bucket/folder``, ``file:///path``) whose runs are written into a
    copy below ``staging_dir`` first (None: the user's state folder). ``claim_lost_copy`` names a
    copy that is lost for good (see :mod:`evalharness.store.remote.sync`).
    """

    name: RunName
    provider: ProviderConfig
    dataset: DatasetConfig
    params: dict[str, Any] = {}
    sweep: dict[str, Any] = {}
    repeats: Annotated[int, Meta(ge=1, le=100_000)] = 3
    order: OrderConfig = OrderConfig()
    limits: LimitsConfig = LimitsConfig()
    load: LoadConfig | None = None
    scoring: list[dict[str, Any]] = []
    answer: dict[str, Any] | str | None = None
    pricing: dict[str, Any] = {}
    transport: Literal["auto", "reqwest", "httpx"] = "auto"
    keep_chunk_times: bool = False
    results_dir: str = "results"
    staging_dir: str | None = None
    claim_lost_copy: str | None = None
    execution: ExecutionConfig = ExecutionConfig()
    # Provider configurations that a `provider` axis refers to, by name; filled by app.
    providers: dict[str, ProviderConfig] = {}


def parse_run_config(raw: dict[str, Any]) -> RunConfig:
    """Turn plain data (Hydra's resolved output) into a RunConfig.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range, naming the key.
    """
    return convert(raw, RunConfig)
