"""Which settings are compared with which: equal in everything but one axis.

An axis is any parameter, or ``provider``, ``model``, ``system``, ``template``, or ``run`` (which
run folder a setting comes from). Settings that agree in everything else form a *stratum*; each
stratum holds the baseline and what is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, cast

import msgspec

from evalharness.config.strict_yaml import YamlError, load
from evalharness.errors import ConfigError

RUN = "run"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of one run, as something to compare.

    Attributes:
        run: name of the run the setting belongs to.
        setting_id: its id there.
        label: what varies within the run, in words.
        values: parameters, provider, model, system, template: null ones are absent.
        place: its position in the joined table.

    """

    run: str
    setting_id: str
    label: str
    values: dict[str, Any]
    place: int


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison to make: columns at ``value`` against columns at ``baseline``.

    One column a side within a stratum; several, matched in order, when strata are pooled.
    """

    compared: tuple[Column, ...]
    baseline: tuple[Column, ...]
    value: Any
    baseline_value: Any
    stratum: dict[str, Any]

    @property
    def pooled(self) -> bool:
        """Whether this pair averages over several strata."""
        return len(self.compared) > 1

    def also_differs(self, axis: str) -> list[str]:
        """Return what else, besides the axis, differs between the sides: it went with the axis."""
        names = {
            name
            for pair in zip(self.compared, self.baseline, strict=True)
            for name in varying(pair)
            if name not in (axis.removeprefix("params."), RUN)
        }
        return sorted(names)


def normalise(value: Any) -> Hashable:
    """Return a form in which equal values are equal: 0 and 0.0 are one, True and 1 are not."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, int | float):
        return ("number", value if math.isfinite(value) else str(value))
    if isinstance(value, list | tuple):
        return ("list", *(normalise(item) for item in cast("list[Any]", value)))
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return ("dict", *sorted((key, normalise(item)) for key, item in items))
    return ("other", str(value))


def axis_value(column: Column, axis: str) -> Any:
    """Return the value of a column on an axis; None is "not sent"."""
    return column.run if axis == RUN else column.values.get(axis)


def varying(columns: Sequence[Column]) -> list[str]:
    """Return the axes on which the columns differ, in alphabetical order."""
    names = sorted({name for column in columns for name in column.values} | {RUN})
    return [
        name
        for name in names
        if len({normalise(axis_value(column, name)) for column in columns}) > 1
    ]


def find_pairs(columns: Sequence[Column], axis: str, baseline: Any = None) -> list[Pair]:
    """Return every comparison along an axis: pooled ones first, then one a stratum.

    Args:
        columns: all settings.
        axis: a parameter name (``params.`` before it is ignored), ``provider``, ``model``,
            ``system``, ``template`` or ``run``.
        baseline: value on the axis to compare with; the text ``"null"`` means "not sent", other
            texts that spell a number or a JSON value count as that when no setting has the text
            itself. None takes the lowest number, or the first setting's value.

    Raises:
        ConfigError: the axis does not vary, no setting has the baseline value, or no two settings
            differ in this axis alone.

    """
    axis = axis.removeprefix("params.")
    values = _axis_values(columns, axis)
    if len(values) < 2:
        others = [name for name in varying(columns) if name != axis]
        raise ConfigError(
            f"settings do not differ in `{axis}`",
            hint=f"compare by one of: {', '.join(others)}" if others else "sweep an axis first",
        )
    base = normalise(_baseline_value(values, baseline, axis))
    strata = _strata(columns, axis, base)
    pairs: list[Pair] = []
    for key, value in values.items():
        if key == base:
            continue
        matched = [(s[key], s[base]) for s in strata if key in s]
        shown = {"value": value, "baseline_value": values[base]}
        others = varying([pair[1] for pair in matched])
        pairs += [
            Pair(compared=(a,), baseline=(b,), stratum=_stratum(b, others, axis), **shown)
            for a, b in matched
        ]
        if len(matched) > 1:
            compared, against = zip(*matched, strict=True)
            pairs.append(Pair(compared=compared, baseline=against, stratum={}, **shown))
    if not pairs:
        raise ConfigError(
            f"no two settings differ in `{axis}` alone",
            hint=f"they also differ in: {', '.join(n for n in varying(columns) if n != axis)}",
        )
    return [p for p in pairs if p.pooled] + [p for p in pairs if not p.pooled]


def ordered_columns(columns: Sequence[Column], axis: str) -> list[tuple[list[float], list[Column]]]:
    """Return, for each stratum, its columns in ascending order of a numeric axis, with the values.

    Strata with fewer than three numeric values are left out.
    """
    axis = axis.removeprefix("params.")
    found: list[tuple[list[float], list[Column]]] = []
    for stratum in _grouped(columns, axis):
        numbers: list[tuple[float, Column]] = []
        for column in stratum.values():
            value = axis_value(column, axis)
            if isinstance(value, int | float) and not isinstance(value, bool):
                numbers.append((float(value), column))
        if len(numbers) >= 3:
            numbers.sort(key=lambda item: item[0])
            found.append(([n for n, _ in numbers], [c for _, c in numbers]))
    return found


def _axis_values(columns: Sequence[Column], axis: str) -> dict[Hashable, Any]:
    """Distinct values on an axis, numbers ascending, then the rest in order of appearance."""
    seen: dict[Hashable, Any] = {}
    for column in columns:
        value = axis_value(column, axis)
        seen.setdefault(normalise(value), value)

    def rank(key: Hashable) -> tuple[int, float]:
        value = seen[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (0, float(value)) if number else (1, 0.0)

    return {key: seen[key] for key in sorted(seen, key=rank)}


def _baseline_value(values: dict[Hashable, Any], baseline: Any, axis: str) -> Any:
    if baseline is None:
        return next(iter(values.values()))
    for candidate in (baseline, _decoded(baseline)):
        if normalise(candidate) in values:
            return candidate
    present = ", ".join("null" if value is None else str(value) for value in values.values())
    raise ConfigError(f"no setting has `{axis}` = {baseline}", hint=f"--baseline one of: {present}")


def _decoded(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return load(text)
    except YamlError:
        return text


def _strata(columns: Sequence[Column], axis: str, base: Hashable) -> list[dict[Hashable, Column]]:
    """Strata that hold the baseline and at least one more value."""
    strata = _grouped(columns, axis)
    return [s for s in strata if base in s and len(s) > 1]


def _grouped(columns: Sequence[Column], axis: str) -> list[dict[Hashable, Column]]:
    """Group columns equal in everything but the axis: by axis value, in order of appearance.

    What follows from the axis is not held against it: where no provider shares a model name with
    another, the name goes with the provider (and the provider with the name); what is the same
    throughout each run goes with the run. A run is told apart only where two runs hold the same
    setting.
    """
    free = {axis}
    if axis == "provider" and not _shares(columns, "model", "provider"):
        free.add("model")
    if axis == "model" and not _shares(columns, "model", "provider"):
        free.add("provider")
    if axis == RUN and _one_each(columns):
        return [{normalise(column.run): column for column in columns}]
    if axis == RUN:
        free |= _of_the_run(columns)
    for ignore_run in (True, False):
        groups: dict[Hashable, dict[Hashable, Column]] = {}
        clash = False
        for column in columns:
            group = groups.setdefault(_key(column, free, ignore_run or axis == RUN), {})
            value = normalise(axis_value(column, axis))
            clash = clash or value in group
            group.setdefault(value, column)
        if not clash:
            break
    return list(groups.values())


def _key(column: Column, free: set[str], ignore_run: bool) -> Hashable:
    parts = [(name, normalise(v)) for name, v in column.values.items() if name not in free]
    return (tuple(sorted(parts)), None if ignore_run else column.run)


def _shares(columns: Sequence[Column], name: str, owner: str) -> bool:
    """Whether any value of ``name`` occurs under two values of ``owner``."""
    owners: dict[Hashable, set[Hashable]] = {}
    for column in columns:
        value, whose = (normalise(axis_value(column, key)) for key in (name, owner))
        owners.setdefault(value, set()).add(whose)
    return any(len(found) > 1 for found in owners.values())


def _of_the_run(columns: Sequence[Column]) -> set[str]:
    """Name what is the same throughout every run: it goes with the run, as a provider may."""
    return {name for name in varying(columns) if name != RUN and not _shares(columns, RUN, name)}


def _one_each(columns: Sequence[Column]) -> bool:
    return len({column.run for column in columns}) == len(columns)


def _stratum(column: Column, others: Sequence[str], axis: str) -> dict[str, Any]:
    return {name: axis_value(column, name) for name in others if name != axis}
