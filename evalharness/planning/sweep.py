"""Axes → settings. An axis is a swept key; a setting is one combination of values.

``sweep`` maps axis names to a list of values, or to a range ``{min, max}`` for the sampling
methods. Axis names are parameter names, ``extra.<key>``, ``load.<key>``, ``model``, ``provider``,
``system`` and ``template`` (also written ``dataset.system``, ``dataset.template``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from evalharness.config.models import ProviderConfig, RunConfig
from evalharness.config.parameter_values import plain_number
from evalharness.errors import ConfigError
from evalharness.parameters import KNOWN_PARAMS, PARAMETERS
from evalharness.planning.load_points import LOAD_AXES as LOAD_AXES
from evalharness.planning.load_points import load_identity
from evalharness.process.text import closest, did_you_mean
from evalharness.records import Setting, canonical_json, digest

METHODS = ("grid", "zip", "random", "sobol", "lhs")
_OPTIONS = ("method", "samples", "sample_seed")
_SETTING_KEYS = ("model", "provider", "system", "template")
_INTEGERS = frozenset(p.name for p in PARAMETERS if p.form == "integer")


class AxisRange(NamedTuple):
    """A continuous axis for sampling methods; ``log`` samples the exponent evenly."""

    lowest: float
    highest: float
    log: bool


Axis = list[Any] | AxisRange


def parse_axes(sweep: Mapping[str, Any]) -> dict[str, Axis]:
    """Check and flatten the ``sweep`` mapping; its options (method, samples) are not axes.

    Raises:
        ConfigError: an unknown axis, no values, repeated values, or a malformed range.
    """
    axes: dict[str, Axis] = {}
    for key, value in _flatten(sweep):
        name = key.removeprefix("dataset.").removeprefix("params.")
        if value is None:  # `sweep.seed=null` takes a preset axis away
            continue
        is_known = name in KNOWN_PARAMS or name in _SETTING_KEYS or name in LOAD_AXES
        if not is_known and not name.startswith("extra."):
            raise ConfigError(f"unknown sweep axis `sweep.{key}`", hint=_suggest_axis(name))
        axes[name] = _axis(key, value)
    return axes


def _flatten(sweep: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in sweep.items():
        if key in _OPTIONS:
            continue
        if isinstance(value, Mapping) and key in ("extra", "dataset", "params", "load"):
            for inner, item in cast("Mapping[str, Any]", value).items():
                yield f"{key}.{inner}", item
        else:
            yield key, value


def _suggest_axis(name: str) -> str:
    close = closest(name, [*KNOWN_PARAMS, *_SETTING_KEYS, *LOAD_AXES])
    if close:
        return did_you_mean(f"sweep.{close}")
    return f"a provider's own parameter is swept as sweep.extra.{name}=[…]"


def _axis(key: str, value: Any) -> Axis:
    if isinstance(value, Mapping):
        return _range(key, dict(cast("Mapping[str, Any]", value)))
    if not isinstance(value, list):
        raise ConfigError(
            f"`sweep.{key}` must be a list of values, got {value!r}",
            hint=f"sweep.{key}=[{value}] sweeps one value; params.{key}={value} fixes it",
        )
    values = cast("list[Any]", value)
    if not values:
        raise ConfigError(
            f"`sweep.{key}` has no values", hint=f"sweep.{key}=null takes the axis away"
        )
    seen: set[bytes] = set()
    for item in values:
        mark = canonical_json(plain_number(item))
        if mark in seen:
            raise ConfigError(f"`sweep.{key}` names the value {item!r} twice")
        seen.add(mark)
    return values


def _range(key: str, value: dict[str, Any]) -> AxisRange:
    scale = value.pop("scale", "linear")
    low, high = value.pop("min", None), value.pop("max", None)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (low, high))
    if value or not numbers or scale not in ("linear", "log"):
        raise ConfigError(
            f"`sweep.{key}` must be a list of values or {{min: …, max: …, scale: linear|log}}"
        )
    if not low < high or (scale == "log" and low <= 0):
        raise ConfigError(f"`sweep.{key}`: min must be below max (and above 0 for a log scale)")
    return AxisRange(float(low), float(high), scale == "log")


def combine(sweep: Mapping[str, Any], axes: dict[str, Axis]) -> list[dict[str, Any]]:
    """All combinations the sweep's ``method`` asks for, each a mapping axis → value.

    Raises:
        ConfigError: an unknown method, a range in a grid, or lists of unequal length in a zip.
    """
    method = sweep.get("method") or "grid"
    if method not in METHODS:
        raise ConfigError(f"`sweep.method` must be one of {', '.join(METHODS)}, got {method!r}")
    if method in ("grid", "zip"):
        return _combine_lists(method, axes)
    samples = sweep.get("samples")
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise ConfigError(f"`sweep.samples` must be a whole number ≥ 1 for method {method}")
    seed = sweep.get("sample_seed") or 0
    return _sample_points(method, axes, samples, int(seed))


def _combine_lists(method: str, axes: dict[str, Axis]) -> list[dict[str, Any]]:
    for name, axis in axes.items():
        if isinstance(axis, AxisRange):
            raise ConfigError(
                f"`sweep.{name}` is a range, which method {method} cannot visit",
                hint="add sweep.method=sobol sweep.samples=16",
            )
    columns: list[Sequence[Any]] = [axis for axis in axes.values() if isinstance(axis, list)]
    if method == "grid":
        return [dict(zip(axes, row, strict=True)) for row in itertools.product(*columns)]
    lengths = {name: len(column) for name, column in zip(axes, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise ConfigError(f"sweep.method=zip needs axes of equal length, got {shown}")
    return [dict(zip(axes, row, strict=True)) for row in zip(*columns, strict=True)] or [{}]


def _sample_points(
    method: str, axes: dict[str, Axis], samples: int, seed: int
) -> list[dict[str, Any]]:
    if not axes:
        return [{}]
    from scipy.stats import qmc  # pyright: ignore[reportMissingTypeStubs]

    dimensions = len(axes)
    if method == "sobol":
        # A power of two keeps the sequence balanced; the surplus is cut off.
        exponent = math.ceil(math.log2(samples))
        points = qmc.Sobol(dimensions, rng=seed).random_base2(exponent)[:samples]
    elif method == "lhs":
        points = qmc.LatinHypercube(dimensions, rng=seed).random(samples)
    else:
        import numpy as np

        points = np.random.default_rng(seed).random((samples, dimensions))
    rows: dict[bytes, dict[str, Any]] = {}
    for point in points.tolist():
        row = {
            name: _value_at(name, axis, u)
            for (name, axis), u in zip(axes.items(), point, strict=True)
        }
        rows.setdefault(canonical_json(row), row)
    return list(rows.values())


def _value_at(name: str, axis: Axis, u: float) -> Any:
    """The value at a fraction ``u`` in [0, 1) of an axis."""
    if isinstance(axis, list):
        return axis[min(int(u * len(axis)), len(axis) - 1)]
    if axis.log:
        value = math.exp(math.log(axis.lowest) + u * math.log(axis.highest / axis.lowest))
    else:
        value = axis.lowest + u * (axis.highest - axis.lowest)
    return round(value) if name in _INTEGERS else float(f"{value:.4g}")


def expand_sweep(config: RunConfig, identities: Mapping[str, str]) -> list[Setting]:
    """The settings of one run configuration, not labelled yet (see :mod:`.setting_labels`).

    ``identities`` maps provider names to what answers (a base URL, a hash of weights).

    Raises:
        ConfigError: an axis cannot be understood or names an unknown provider.
    """
    axes = parse_axes(config.sweep)
    combinations = combine(config.sweep, axes)
    return [_setting(config, row, identities) for row in combinations]


def provider_of(config: RunConfig, name: str | None) -> ProviderConfig:
    """The provider configuration a setting uses."""
    if name is None or name == config.provider.name:
        return config.provider
    try:
        return config.providers[name]
    except KeyError:
        known = ", ".join(sorted({config.provider.name, *config.providers}))
        raise ConfigError(f"`sweep.provider` names `{name}`; known: {known}") from None


def _setting(config: RunConfig, row: dict[str, Any], identities: Mapping[str, str]) -> Setting:
    swept = {key: row[key] for key in _SETTING_KEYS if key in row}
    provider = provider_of(config, swept.get("provider"))
    params: dict[str, Any] = {k: v for k, v in config.params.items() if k != "extra"}
    extra: dict[str, Any] = dict(config.params.get("extra") or {})
    for key, value in row.items():
        if key.startswith("extra."):
            extra[key.removeprefix("extra.")] = value
        elif key not in _SETTING_KEYS and key not in LOAD_AXES:
            params[key] = value
    params = {key: plain_number(value) for key, value in params.items() if value is not None}
    extra = {key: value for key, value in extra.items() if value is not None}
    if extra:
        params["extra"] = extra
    model = swept.get("model") or provider.model
    system = swept.get("system", config.dataset.system)
    template = swept.get("template", config.dataset.template)
    endpoint = identities[provider.name]
    load = load_identity(config, row)
    # Without a load the identity has no such part: a batch run's ids do not depend on it.
    identity = [endpoint, model, params, system, template, *([load] if load else [])]
    return Setting(
        setting_id=digest(canonical_json(identity))[:16],
        label="",
        provider=provider.name,
        endpoint=endpoint,
        model=model,
        params=params,
        system=system,
        template=template,
        axes={key: plain_number(value) for key, value in row.items()},
        load=load,
    )
