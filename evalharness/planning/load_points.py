"""What a load configuration means: which settings share a load point, how many requests it takes.

A *load point* is one load (arrival, rate, …) on one endpoint and model. Its settings are asked
interleaved, at the one rate; load points run one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from evalharness.config.models import LoadConfig, RunConfig
from evalharness.errors import ConfigError
from evalharness.records import Prompt, Setting

OPEN_CONCURRENCY = 1024  # most requests in flight of an open loop
_SWEPT = ("arrival", "rate", "start_rate", "burstiness", "speed", "concurrency", "seed")
AXES = frozenset(f"load.{name}" for name in _SWEPT)
# They judge a measurement and change none of its requests.
_JUDGING = ("slo", "max_delay_s", "min_rate_share")
# Which arrivals a key means something to; a key that would be ignored is refused.
_RATED = ("constant", "poisson", "gamma", "ramp")
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "rate": _RATED,
    "start_rate": ("ramp",),
    "burstiness": ("gamma",),
    "column": ("replay",),
    "speed": ("replay",),
    "max_behind_s": (*_RATED, "replay"),
    "search": ("constant", "poisson", "gamma"),
}
_FIELDS = {field.name: field for field in msgspec.structs.fields(LoadConfig)}


def load_shape(config: RunConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a setting that says how its requests arrive; empty in batch evaluation.

    ``row`` is a combination of the sweep; its ``load.<key>`` values stand over ``config.load``.

    Raises:
        ConfigError: a key is missing, out of range, or means nothing to this arrival.
    """
    swept = {key.removeprefix("load."): value for key, value in row.items() if key in AXES}
    if config.load is None:
        if swept:
            key = next(iter(swept))
            raise ConfigError(
                f"`sweep.load.{key}` needs a load",
                hint="load=poisson, for instance (docs/benchmarking.md)",
            )
        return {}
    raw = {**_given(config.load), **{k: v for k, v in swept.items() if v is not None}}
    load = _checked(raw, config)
    settled = load.concurrency or (
        config.limits.concurrency if load.arrival == "closed" else OPEN_CONCURRENCY
    )
    shape = _given(msgspec.structs.replace(load, concurrency=settled))
    return {"arrival": load.arrival, **{k: v for k, v in shape.items() if k not in _judging(load)}}


def _judging(load: LoadConfig) -> tuple[str, ...]:
    """Keys outside the identity; what a search looks for decides what it sends."""
    return _JUDGING if load.search is None else ()


def _given(load: LoadConfig) -> dict[str, Any]:
    """The keys that differ from their defaults, as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(load)
    empty: dict[str, Any] = msgspec.to_builtins(LoadConfig())
    return {key: _plain(value) for key, value in plain.items() if value != empty[key]}


def _plain(value: Any) -> Any:
    """2.0 and 2 are one rate."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _checked(raw: dict[str, Any], config: RunConfig) -> LoadConfig:
    try:
        load = msgspec.convert(raw, LoadConfig, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"`sweep.load`: {error}") from None
    for key in raw:
        if load.arrival not in _ONLY_FOR.get(key, (load.arrival,)):
            raise ConfigError(
                f"`load.{key}` means nothing to load.arrival={load.arrival}",
                hint=f"load.{key}=null, or load.arrival={_ONLY_FOR[key][0]}",
            )
    _need(load, config)
    return load


def _need(load: LoadConfig, config: RunConfig) -> None:
    """What an arrival cannot do without, and what excludes each other.

    Raises:
        ConfigError: naming the key to type.
    """
    if load.arrival in _RATED and load.rate is None:
        raise ConfigError(f"load.arrival={load.arrival} needs `load.rate`", hint="load.rate=2")
    if load.arrival == "ramp" and (load.start_rate is None or load.duration_s is None):
        raise ConfigError(
            "load.arrival=ramp needs `load.start_rate` and `load.duration_s`",
            hint="load.start_rate=1 load.duration_s=60",
        )
    if load.arrival in ("ramp", "replay") and (load.warmup_requests or load.warmup_s):
        raise ConfigError(
            f"load.arrival={load.arrival} has no steady load to warm up at",
            hint="load.warmup_requests=0 load.warmup_s=0",
        )
    if load.warmup_requests and load.warmup_s:
        raise ConfigError("give `load.warmup_requests` or `load.warmup_s`, not both")
    if load.arrival == "replay" and (load.column is None or config.repeats != 1):
        raise ConfigError(
            "load.arrival=replay needs `load.column`, and sends each row once",
            hint="load.column=arrived_s repeats=1",
        )
    slo = load.slo
    if (slo.ttft_s is not None or slo.tpot_s is not None) and not config.params.get("stream"):
        raise ConfigError(
            "`load.slo.ttft_s` and `load.slo.tpot_s` can only be seen in streams",
            hint="params.stream=true",
        )
    if load.search is not None and slo == type(slo)():
        raise ConfigError(
            "`load.search` looks for the highest rate that meets an SLO, and `load.slo` has none",
            hint="load.slo.latency_s=5, for instance",
        )
    if config.limits.adaptive:
        raise ConfigError(
            "limits.adaptive changes the load that is to be measured", hint="limits.adaptive=false"
        )


def load_of(shape: Mapping[str, Any], config: LoadConfig) -> LoadConfig:
    """The load that a setting or a measurement describes; what judges it is the ``config``'s."""
    load = msgspec.convert(dict(shape), LoadConfig)
    judges = {name: getattr(config, name) for name in _JUDGING}
    return msgspec.structs.replace(load, **judges)


def load_points(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Settings by load point, in the order of the plan; a replay has one setting a point."""
    points: dict[Any, list[Setting]] = {}
    for setting in settings:
        shape = msgspec.json.encode(setting.load, order="deterministic")
        alone = setting.setting_id if setting.load.get("arrival") == "replay" else ""
        points.setdefault((shape, setting.endpoint, setting.model, alone), []).append(setting)
    return list(points.values())


def measured_requests(load: LoadConfig, *, cells: int, repeats: int) -> int | None:
    """How many requests a load point measures at most; None where only time ends it."""
    if load.requests is not None or load.duration_s is not None:
        return load.requests
    return cells * repeats


def expected_requests(load: LoadConfig, *, cells: int, repeats: int) -> int | None:
    """Requests of a load point, warm-up included; expected ones where chance or time decides.

    None where nothing tells before: a closed loop that is ended by time.
    """
    rate = load.rate
    if load.arrival == "ramp" and rate is not None:
        rate = (rate + (load.start_rate or 0.0)) / 2
    counted = measured_requests(load, cells=cells, repeats=repeats)
    timed = None
    if load.duration_s is not None and rate is not None:
        timed = math.ceil(load.duration_s * rate)
    known = [count for count in (counted, timed) if count is not None]
    if not known or (load.warmup_s and rate is None):
        return None
    return min(known) + load.warmup_requests + math.ceil(load.warmup_s * (rate or 0.0))


def expected_seconds(load: LoadConfig, requests: int | None) -> float | None:
    """How long an open loop's schedule is; None where only the server tells (closed loop).

    Args:
        load: the load.
        requests: as :func:`expected_requests` has them.
    """
    if load.duration_s is not None and load.requests is None:
        warm = load.warmup_requests / load.rate if load.rate else 0.0
        return load.warmup_s + warm + load.duration_s
    if load.rate is None or requests is None:
        return None
    return requests / load.rate


def visits(config: RunConfig, settings: Sequence[Setting], prompts: int) -> int:
    """How often each prompt is asked under each setting at most, as far as that is known."""
    if config.load is None:
        return config.repeats
    found = [config.repeats]
    for point in load_points(settings):
        cells = max(1, prompts * len(point))
        count = expected_requests(
            load_of(point[0].load, config.load), cells=cells, repeats=config.repeats
        )
        if count is not None:
            found.append(math.ceil(count / cells))
    return max(found[1:], default=config.repeats)


def check_loads(config: RunConfig, settings: Sequence[Setting], prompts: Sequence[Prompt]) -> None:
    """Find out before anything is sent whether every replay has its times.

    Raises:
        ConfigError: a row without a time, or rows out of order.
    """
    for column in {s.load["column"] for s in settings if "column" in s.load}:
        replay_times(prompts, column)


def replay_times(prompts: Sequence[Prompt], column: str) -> list[float]:
    """The seconds in a dataset column, from the first row's on.

    Raises:
        ConfigError: a row without a number, or one earlier than the row before.
    """
    times: list[float] = []
    for prompt in prompts:
        value = prompt.fields.get(column)
        where = prompt.source or f"prompt {prompt.prompt_id}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ConfigError(f"{where}: column `{column}` must hold seconds, got {value!r}")
        if times and value < times[-1]:
            raise ConfigError(
                f"{where}: column `{column}` goes back in time ({value} after {times[-1]})",
                hint="sort the rows by that column",
            )
        times.append(float(value))
    return [at - times[0] for at in times]
