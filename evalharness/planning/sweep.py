"""Axes → settings. An axis is a swept key; a setting is one combination of values.

How axes are written: :mod:`~evalharness.planning.axes`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalharness.config.models import ProviderConfig, RunConfig
from evalharness.config.parameter_values import plain_number
from evalharness.errors import ConfigError
from evalharness.parameters import PARAMETERS
from evalharness.planning.axes import (
    LOAD_AXES,
    SETTING_KEYS,
    Axis,
    AxisRange,
    AxisValue,
    parse_axes,
)
from evalharness.planning.load_points import load_identity
from evalharness.records import Setting, Variant, canonical_json, digest

METHODS = ("grid", "zip", "random", "sobol", "lhs")
_INTEGERS = frozenset(p.name for p in PARAMETERS if p.form == "integer")
AxisRow = dict[str, AxisValue]


def combine(sweep: Mapping[str, Any], axes: dict[str, Axis]) -> list[AxisRow]:
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


def _combine_lists(method: str, axes: dict[str, Axis]) -> list[AxisRow]:
    for name, axis in axes.items():
        if isinstance(axis, AxisRange):
            raise ConfigError(
                f"`sweep.{name}` is a range, which method {method} cannot visit",
                hint="add sweep.method=sobol sweep.samples=16",
            )
    columns: list[Sequence[AxisValue]] = [axis for axis in axes.values() if isinstance(axis, list)]
    if method == "grid":
        return [dict(zip(axes, row, strict=True)) for row in itertools.product(*columns)]
    lengths = {name: len(column) for name, column in zip(axes, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise ConfigError(f"sweep.method=zip needs axes of equal length, got {shown}")
    return [dict(zip(axes, row, strict=True)) for row in zip(*columns, strict=True)] or [{}]


def _sample_points(method: str, axes: dict[str, Axis], samples: int, seed: int) -> list[AxisRow]:
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
    rows: dict[bytes, AxisRow] = {}
    for point in points.tolist():
        row = {
            name: _value_at(name, axis, u)
            for (name, axis), u in zip(axes.items(), point, strict=True)
        }
        rows.setdefault(canonical_json({name: item.value for name, item in row.items()}), row)
    return list(rows.values())


def _value_at(name: str, axis: Axis, u: float) -> AxisValue:
    """The value at a fraction ``u`` in [0, 1) of an axis."""
    if isinstance(axis, list):
        return axis[min(int(u * len(axis)), len(axis) - 1)]
    if axis.log:
        value = math.exp(math.log(axis.lowest) + u * math.log(axis.highest / axis.lowest))
    else:
        value = axis.lowest + u * (axis.highest - axis.lowest)
    return AxisValue(round(value) if name in _INTEGERS else float(f"{value:.4g}"))


def expand_sweep(
    config: RunConfig,
    identities: Mapping[str, str],
    root: Path | None = None,
    files: Mapping[str, Variant] = MappingProxyType({}),
) -> list[Setting]:
    """The settings of one run configuration, not labelled yet (see :mod:`.setting_labels`).

    ``identities`` maps provider names to what answers (a base URL, a hash of weights); ``root`` is
    where names of files start (None: the working directory); ``files`` are those of values that
    are fixed, by key.

    Raises:
        ConfigError: an axis cannot be understood or names an unknown provider.
    """
    axes = parse_axes(config.sweep, root)
    combinations = combine(config.sweep, axes)
    return [_setting(config, row, identities, files) for row in combinations]


def provider_of(config: RunConfig, name: str | None) -> ProviderConfig:
    """The provider configuration a setting uses."""
    if name is None or name == config.provider.name:
        return config.provider
    try:
        return config.providers[name]
    except KeyError:
        known = ", ".join(sorted({config.provider.name, *config.providers}))
        raise ConfigError(f"`sweep.provider` names `{name}`; known: {known}") from None


def _setting(
    config: RunConfig,
    axis_values: AxisRow,
    identities: Mapping[str, str],
    files: Mapping[str, Variant],
) -> Setting:
    row = {key: plain_number(item.value) for key, item in axis_values.items()}
    swept = {key: row[key] for key in SETTING_KEYS if key in row}
    provider = provider_of(config, swept.get("provider"))
    params = _params(config, row)
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
        axes={key: _axis_value(item.name, row[key]) for key, item in axis_values.items()},
        variants={key: file for key, file in files.items() if key not in row}
        | {
            key: Variant(name=item.name, file=item.file, sha256=item.sha256)
            for key, item in axis_values.items()
            if item.name is not None and item.sha256 is not None
        },
        load=load,
    )


def _axis_value(name: str | None, value: Any) -> Any:
    """What stands for a value in comparisons: its name, but a number as it is, for slopes."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if name is None or is_number else name


def _params(config: RunConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a setting, the provider's own under ``extra``; null ones left out."""
    params: dict[str, Any] = {k: v for k, v in config.params.items() if k != "extra"}
    extra: dict[str, Any] = dict(config.params.get("extra") or {}) | dict(row.get("extra") or {})
    for key, value in row.items():
        if key.startswith("extra."):
            extra[key.removeprefix("extra.")] = value
        elif key != "extra" and key not in SETTING_KEYS and key not in LOAD_AXES:
            params[key] = value
    params = {key: plain_number(value) for key, value in params.items() if value is not None}
    extra = {key: value for key, value in extra.items() if value is not None}
    return params | ({"extra": extra} if extra else {})
