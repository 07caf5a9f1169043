"""Load points of a plan: the settings each one has, and how many requests it sends.

A *load point* is one load (arrival, rate, …) on one endpoint and model. The requests of its
settings are interleaved and share its rate; load points run one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from evalharness.config.models import LoadConfig, RunConfig, ThinkConfig
from evalharness.config.parameter_values import plain_number
from evalharness.config.validation import convert
from evalharness.config.workload import TRACE_DUE
from evalharness.errors import ConfigError
from evalharness.planning.sweep_steps import check_load_sweep
from evalharness.records import Prompt, Setting

OPEN_LOOP_CONCURRENCY = 1024  # the largest number of requests in flight of an open loop
_SWEPT = (
    "arrival", "rate", "start_rate", "burstiness", "speed", "concurrency", "background", "block",
    "seed",
)  # fmt: skip
#: Keys of a load, and ``load``, whose values are whole loads with a name each.
LOAD_AXES = frozenset(("load", *(f"load.{name}" for name in _SWEPT)))
# Keys that only judge a measurement, and change none of its requests.
_JUDGING_KEYS = ("slo", "max_delay_s", "min_rate_share")
# The arrivals that use a key; with others it would be ignored, and is refused.
_RATE_ARRIVALS = ("constant", "poisson", "gamma", "ramp")
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "rate": _RATE_ARRIVALS,
    "start_rate": ("ramp",),
    "burstiness": ("gamma",),
    "background": ("closed",),
    "column": ("replay",),
    "from": ("replay",),
    "speed": ("replay",),
    "max_behind_s": (*_RATE_ARRIVALS, "replay"),
    "stop_when_oversaturated": ("constant", "poisson", "gamma"),
    "search": ("constant", "poisson", "gamma"),
}
_FIELDS = {field.name: field for field in msgspec.structs.fields(LoadConfig)}


def load_identity(config: RunConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """The load as part of a setting's identity; empty in batch evaluation.

    ``row`` is a combination of the sweep; its ``load.<key>`` values override ``config.load``.

    Raises:
        ConfigError: a key is missing, out of range, or means nothing to this arrival.
    """
    whole = _whole_load(row)
    swept = {
        key.removeprefix("load."): value
        for key, value in row.items()
        if key in LOAD_AXES and key != "load"
    }
    if both := sorted(whole.keys() & swept.keys()):
        raise ConfigError(
            f"`sweep.load` has `{both[0]}` in a named load and as an axis of its own",
            hint="leave one of them out",
        )
    swept = {**whole, **swept}
    if config.load is None:
        if swept:
            key = next(iter(swept))
            raise ConfigError(
                f"`sweep.load.{key}` needs a load",
                hint="load=poisson, for instance (docs/benchmarking.md)",
            )
        return {}
    values = {**_keys_set(config.load), **{k: v for k, v in swept.items() if v is not None}}
    workload = config.dataset.workload
    if workload is not None and workload.trace is not None and values.get("arrival") == "replay":
        values.setdefault("column", TRACE_DUE)  # a trace has its times
    load = _check_load(values, config)
    concurrency = load.concurrency or (
        config.limits.concurrency if load.arrival == "closed" else OPEN_LOOP_CONCURRENCY
    )
    keys = _keys_set(msgspec.structs.replace(load, concurrency=concurrency))
    return {
        "arrival": load.arrival,
        **{k: v for k, v in keys.items() if k not in _keys_outside_identity(load)},
    }


def _whole_load(row: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the named load of a combination; empty without one.

    Raises:
        ConfigError: a value of the axis is no object.
    """
    value = row.get("load")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"`sweep.load` names whole loads, and one of them is {value!r:.60}",
            hint="sweep.load={alone: {concurrency: 1}, busy: {concurrency: 8}}",
        )
    return dict(cast("Mapping[str, Any]", value))


def _keys_outside_identity(load: LoadConfig) -> tuple[str, ...]:
    """Keys outside the identity. What a search or a sweep tries depends on all keys."""
    return _JUDGING_KEYS if load.search is None and load.sweep is None else ()


def _keys_set(load: LoadConfig) -> dict[str, Any]:
    """The keys that differ from their defaults, as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(load)
    empty: dict[str, Any] = msgspec.to_builtins(LoadConfig())
    return {key: plain_number(value) for key, value in plain.items() if value != empty[key]}


def _check_load(raw: dict[str, Any], config: RunConfig) -> LoadConfig:
    load = convert(raw, LoadConfig, "sweep.load")
    check_load_sweep(load)
    for key in raw:
        if load.arrival not in _ONLY_FOR.get(key, (load.arrival,)):
            raise ConfigError(
                f"`load.{key}` means nothing to load.arrival={load.arrival}",
                hint=f"load.{key}={_none_text(key)}, or load.arrival={_ONLY_FOR[key][0]}",
            )
    _check_required(load, config)
    _check_think_time(load)
    return load


def _none_text(key: str) -> str:
    """What to type for not having a key."""
    return "false" if _FIELDS[key].default is False else "null"


def _check_think_time(load: LoadConfig) -> None:
    think = load.think_s
    if not isinstance(think, ThinkConfig) or think.distribution == "lognormal" or think.cv is None:
        return
    raise ConfigError(
        f"`load.think_s.cv` means nothing to distribution={think.distribution}",
        hint="load.think_s={distribution: lognormal, mean_s: 5, cv: 0.5}",
    )


def _check_required(load: LoadConfig, config: RunConfig) -> None:
    """Refuse a load without the keys its arrival needs, or with keys that exclude each other.

    Raises:
        ConfigError: naming the key to type.
    """
    if load.arrival in _RATE_ARRIVALS and load.rate is None and load.sweep is None:
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
    if load.arrival == "replay":
        _check_replay(load, config)
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


def _check_replay(load: LoadConfig, config: RunConfig) -> None:
    """Refuse a replay without times, or with two kinds of them.

    Raises:
        ConfigError: naming the key to type.
    """
    if load.from_run is not None and load.column is not None:
        raise ConfigError(
            f"load.from={load.from_run} has times, and so has `load.column` or the trace",
            hint="load.from=null, or another dataset and load.column=null",
        )
    if load.from_run is not None and config.execution.engine == "ray":
        raise ConfigError(
            "a run is replayed from one process, and execution=ray has several",
            hint="execution=local",
        )
    if (load.from_run is None and load.column is None) or config.repeats != 1:
        raise ConfigError(
            "load.arrival=replay needs `load.column`, a trace or `load.from`, and sends each "
            "request once",
            hint="load.column=arrived_s repeats=1, or dataset=trace repeats=1, or load.from=RUN "
            "repeats=1",
        )


def load_from_identity(identity: Mapping[str, Any], config: LoadConfig) -> LoadConfig:
    """The load of a setting or a measurement, judged by the limits of ``config``."""
    load = msgspec.convert(dict(identity), LoadConfig)
    limits = {name: getattr(config, name) for name in _JUDGING_KEYS}
    return msgspec.structs.replace(load, **limits)


def group_by_load_point(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Settings by load point, in the order of the plan. A replay has one setting per load point."""
    points: dict[Any, list[Setting]] = {}
    for setting in settings:
        identity = msgspec.json.encode(setting.load, order="deterministic")
        replay = setting.setting_id if setting.load.get("arrival") == "replay" else ""
        points.setdefault((identity, setting.endpoint, setting.model, replay), []).append(setting)
    return list(points.values())


def measured_requests(load: LoadConfig, *, cells: int, repeats: int) -> int | None:
    """The largest number of requests that a load point measures; None where only time ends it.

    Of a dataset with conversations these are what it counts.
    """
    most = load.requests if load.sessions is None else load.sessions
    return most if most is not None or load.duration_s is not None else cells * repeats


def expected_requests(
    load: LoadConfig, *, cells: int, repeats: int, turns: float = 1.0
) -> int | None:
    """Requests of a load point, warm-up included; their expectation where chance or time decides.

    None where it cannot be known before: in a closed loop that is ended by time.

    Args:
        load: the load.
        cells: measured rows × settings.
        repeats: of the run.
        turns: the mean number of requests of a row.
    """
    sessions = _expected_sessions(load, cells=cells, repeats=repeats)
    return None if sessions is None else math.ceil(sessions * turns)


def _expected_sessions(load: LoadConfig, *, cells: int, repeats: int) -> int | None:
    """The same in conversations, and in requests that are no turns."""
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
    if load.background:  # as many as there are places for, if all take the same time
        share = load.background / (load.concurrency or 1)
        return math.ceil(min(known) * (1 + share)) + load.warmup_requests
    return min(known) + load.warmup_requests + math.ceil(load.warmup_s * (rate or 0.0))


def expected_seconds(load: LoadConfig, requests: int | None, turns: float = 1.0) -> float | None:
    """The length of an open loop's schedule; None for a closed loop, where the server decides.

    Args:
        load: the load.
        requests: of the load point, from :func:`expected_requests`.
        turns: the mean number of requests of a row.
    """
    if load.duration_s is not None and load.requests is None and load.sessions is None:
        warm = load.warmup_requests / load.rate if load.rate else 0.0
        return load.warmup_s + warm + load.duration_s
    if load.rate is None or requests is None:
        return None
    return requests / turns / load.rate


def max_repeats(config: RunConfig, settings: Sequence[Setting], prompts: int) -> int:
    """The largest number of repeats of a prompt under a setting, as far as that is known."""
    if config.load is None:
        return config.repeats
    counts = [config.repeats]
    for point in group_by_load_point(settings):
        cells = max(1, prompts * len(point))
        count = _expected_sessions(
            load_from_identity(point[0].load, config.load), cells=cells, repeats=config.repeats
        )
        if count is not None:
            counts.append(math.ceil(count / cells))
    return max(counts[1:], default=config.repeats)


def check_background_rows(
    config: RunConfig, settings: Sequence[Setting], prompts: Sequence[Prompt]
) -> None:
    """Check, before anything is sent, that there are rows for the background, and others.

    Raises:
        ConfigError: a load has a background, and no row is for it; or every row is.
    """
    rows = sum(map(is_background, prompts))
    if config.load is not None and prompts and rows == len(prompts):
        raise ConfigError(
            "every row of the dataset has `background: true`, so that none is measured",
            hint="background rows are the traffic beside those that are measured",
        )
    if rows == 0 and any(setting.load.get("background") for setting in settings):
        raise ConfigError(
            "`load.background` needs rows for the other requests, and the dataset has none",
            hint="give some rows `background: true`; they are sent beside the others, and in no "
            "figure",
        )


def is_background(prompt: Prompt) -> bool:
    """Whether a row is traffic beside the measured ones, in a benchmark."""
    return prompt.fields.get("background") is True
