"""Pairs of settings to compare: equal in everything but one axis.

An axis is any parameter, or ``provider``, ``model``, ``system``, ``template``, or ``run`` (which
run folder a setting comes from). Settings that are equal in everything else form a *stratum*; each
stratum holds the baseline and the settings compared with it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from evalharness.analysis.data.join_runs import SettingColumn
from evalharness.analysis.data.json_values import JsonValues
from evalharness.config.parameter_values import comparison_key, same_value
from evalharness.config.strict_yaml import YamlError, parse_yaml
from evalharness.errors import ConfigError

RUN = "run"


class SettingPair(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison: columns at ``value`` against columns at ``baseline_value``.

    One column a side within a stratum; several, matched in order, when strata are pooled.
    """

    compared: tuple[SettingColumn, ...]
    baseline: tuple[SettingColumn, ...]
    value: Any
    baseline_value: Any
    stratum: JsonValues

    @property
    def pooled(self) -> bool:
        """Whether this pair averages over several strata."""
        return len(self.compared) > 1

    def also_differs(self, axis: str) -> list[str]:
        """Return what else, besides the axis, differs between the sides."""
        names = {
            name
            for pair in zip(self.compared, self.baseline, strict=True)
            for name in varying_axes(pair)
            if name not in (axis.removeprefix("params."), RUN)
        }
        return sorted(names)


def axis_value(column: SettingColumn, axis: str) -> Any:
    """Return the value of a column on an axis; None is "not sent"."""
    return column.run if axis == RUN else column.values.get(axis)


def varying_axes(columns: Sequence[SettingColumn]) -> list[str]:
    """Return the axes on which the columns differ, in alphabetical order."""
    names = sorted({name for column in columns for name in column.values} | {RUN})
    return [
        name
        for name in names
        if len({comparison_key(axis_value(column, name)) for column in columns}) > 1
    ]


def find_pairs(
    columns: Sequence[SettingColumn], axis: str, baseline: Any = None
) -> list[SettingPair]:
    """Return all comparisons along an axis: pooled ones first, then one a stratum.

    Args:
        columns: all settings.
        axis: a parameter name (``params.`` before it is ignored), ``provider``, ``model``,
            ``system``, ``template`` or ``run``.
        baseline: value on the axis to compare with, or its name; the text ``"null"`` means "not
            sent", other texts that spell a number or a JSON value count as that when no setting has
            the text itself. None takes the lowest number, or the first setting's value.

    Raises:
        ConfigError: the axis does not vary, no setting has the baseline value, or no two settings
            differ in this axis alone.

    """
    axis = axis.removeprefix("params.")
    if len(columns) == 1:
        raise ConfigError(
            "the run has a single setting, which nothing can be compared with",
            hint="sweep an axis, or name a second run",
        )
    values = _axis_values(columns, axis)
    if len(values) < 2:
        others = [name for name in varying_axes(columns) if name != axis]
        raise ConfigError(
            f"settings do not differ in `{axis}`",
            hint=f"compare by one of: {', '.join(others)}" if others else "sweep an axis first",
        )
    base = comparison_key(_baseline_value(values, _name_of(columns, axis, baseline), axis))
    strata = _strata(columns, axis, base)
    pairs: list[SettingPair] = []
    for key, value in values.items():
        if key == base:
            continue
        matched = [(s[key], s[base]) for s in strata if key in s]
        shown = {"value": value, "baseline_value": values[base]}
        others = varying_axes([pair[1] for pair in matched])
        pairs += [
            SettingPair(compared=(a,), baseline=(b,), stratum=_stratum(b, others, axis), **shown)
            for a, b in matched
        ]
        if len(matched) > 1:
            compared, against = zip(*matched, strict=True)
            pairs.append(SettingPair(compared=compared, baseline=against, stratum={}, **shown))
    if not pairs:
        raise _no_pair(columns, axis, values[base])
    return [p for p in pairs if p.pooled] + [p for p in pairs if not p.pooled]


def _no_pair(columns: Sequence[SettingColumn], axis: str, base: Any) -> ConfigError:
    others = ", ".join(name for name in varying_axes(columns) if name != axis)
    if axis == RUN:
        message = f"no other run shares a setting with `{base}`"
        return ConfigError(message, hint=f"compare by what their settings differ in: {others}")
    message = f"no two settings differ in `{axis}` alone"
    return ConfigError(message, hint=f"they also differ in: {others}")


def ordered_columns(
    columns: Sequence[SettingColumn], axis: str
) -> list[tuple[list[float], list[SettingColumn]]]:
    """Return, for each stratum, its columns in ascending order of a numeric axis, with the values.

    Strata with fewer than three numeric values are left out.
    """
    axis = axis.removeprefix("params.")
    result: list[tuple[list[float], list[SettingColumn]]] = []
    for stratum in _group_columns(columns, axis):
        numbers: list[tuple[float, SettingColumn]] = []
        for column in stratum.values():
            value = axis_value(column, axis)
            if isinstance(value, int | float) and not isinstance(value, bool):
                numbers.append((float(value), column))
        if len(numbers) >= 3:
            numbers.sort(key=lambda item: item[0])
            result.append(([n for n, _ in numbers], [c for _, c in numbers]))
    return result


def _axis_values(columns: Sequence[SettingColumn], axis: str) -> dict[Hashable, Any]:
    """Distinct values on an axis, numbers ascending, then the rest in order of appearance."""
    values: dict[Hashable, Any] = {}
    for column in columns:
        value = axis_value(column, axis)
        values.setdefault(comparison_key(value), value)

    def rank(key: Hashable) -> tuple[int, float]:
        value = values[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (0, float(value)) if number else (1, 0.0)

    return {key: values[key] for key in sorted(values, key=rank)}


def _name_of(columns: Sequence[SettingColumn], axis: str, baseline: Any) -> Any:
    """The name of a value that was given as the text that stands behind it."""
    for column in columns:
        if axis in column.sent and same_value(column.sent[axis], baseline):
            return column.values[axis]
    return baseline


def _baseline_value(values: dict[Hashable, Any], baseline: Any, axis: str) -> Any:
    if baseline is None:
        return next(iter(values.values()))
    for candidate in (baseline, _parse_value(baseline)):
        if comparison_key(candidate) in values:
            return candidate
    present = ", ".join("null" if value is None else str(value) for value in values.values())
    raise ConfigError(f"no setting has `{axis}` = {baseline}", hint=f"--baseline one of: {present}")


def _parse_value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return parse_yaml(text)
    except YamlError:
        return text


def _strata(
    columns: Sequence[SettingColumn], axis: str, base: Hashable
) -> list[dict[Hashable, SettingColumn]]:
    """Strata that hold the baseline and at least one more value."""
    strata = _group_columns(columns, axis)
    return [s for s in strata if base in s and len(s) > 1]


def _group_columns(
    columns: Sequence[SettingColumn], axis: str
) -> list[dict[Hashable, SettingColumn]]:
    """Group columns equal in everything but the axis: by axis value, in order of appearance.

    Values that are determined by the axis may differ, too. Where no two providers share a model
    name, the name is determined by the provider, and the provider by the name. What is constant
    within each run is determined by the run. Settings of different runs are kept apart only where
    two runs hold the same setting.
    """
    free = {axis}
    if axis == "provider" and not _is_shared(columns, "model", "provider"):
        free.add("model")
    if axis == "model" and not _is_shared(columns, "model", "provider"):
        free.add("provider")
    if axis == RUN and _one_setting_per_run(columns):
        return [{comparison_key(column.run): column for column in columns}]
    if axis == RUN:
        free |= _constant_within_runs(columns)
    for ignore_run in (True, False):
        groups: dict[Hashable, dict[Hashable, SettingColumn]] = {}
        clash = False
        for column in columns:
            group = groups.setdefault(_key(column, free, ignore_run or axis == RUN), {})
            value = comparison_key(axis_value(column, axis))
            clash = clash or value in group
            group.setdefault(value, column)
        if not clash:
            break
    return list(groups.values())


def _key(column: SettingColumn, free: set[str], ignore_run: bool) -> Hashable:
    parts = [(name, comparison_key(v)) for name, v in column.values.items() if name not in free]
    return (tuple(sorted(parts)), None if ignore_run else column.run)


def _is_shared(columns: Sequence[SettingColumn], name: str, owner: str) -> bool:
    """Whether any value of ``name`` occurs under two values of ``owner``."""
    owners: dict[Hashable, set[Hashable]] = {}
    for column in columns:
        value, owner_key = (comparison_key(axis_value(column, key)) for key in (name, owner))
        owners.setdefault(value, set()).add(owner_key)
    return any(len(distinct) > 1 for distinct in owners.values())


def _constant_within_runs(columns: Sequence[SettingColumn]) -> set[str]:
    """The axes that are constant within each run."""
    return {
        name for name in varying_axes(columns) if name != RUN and not _is_shared(columns, RUN, name)
    }


def _one_setting_per_run(columns: Sequence[SettingColumn]) -> bool:
    return len({column.run for column in columns}) == len(columns)


def _stratum(column: SettingColumn, others: Sequence[str], axis: str) -> JsonValues:
    return {name: axis_value(column, name) for name in others if name != axis}
