"""Conditions of a benchmark: the same requests alone, one at a time, and under other loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import JsonValues
from evalharness.records import canonical_json

#: The axis of a sweep whose values are whole loads, each with a name.
LOAD_AXIS = "load"


class Condition(NamedTuple):
    """A setting by its load.

    Attributes:
        setting: its index in the frame.
        name: the load's name, or what it is: ``8 in flight``.
        in_flight: requests that a closed loop keeps in flight, background included; None of an
            open loop.
    """

    setting: int
    name: str
    in_flight: int | None

    @property
    def is_alone(self) -> bool:
        """Whether nothing else of the run was in flight beside a request."""
        return self.in_flight == 1


class ConditionGroup(NamedTuple):
    """Settings that send the same requests and differ in their load alone, in the run's order.

    Attributes:
        label: what sets the group apart from the others of the run; empty for the only one.
        conditions: its settings.
        named: whether its loads are values of an axis with names, as the experiment has them.
        temperature: as sent; None where it was not.
    """

    label: str
    conditions: list[Condition]
    named: bool
    temperature: float | None

    @property
    def alone(self) -> list[Condition]:
        """Those that send one request at a time."""
        return [each for each in self.conditions if each.is_alone]

    @property
    def others(self) -> list[Condition]:
        """Those under load."""
        return [each for each in self.conditions if not each.is_alone]


def condition_groups(frame: RunFrame) -> list[ConditionGroup]:
    """The groups of settings with more than one load; none in batch evaluation."""
    groups: dict[bytes, list[int]] = {}
    for setting, row in enumerate(frame.setting_rows):
        if not _load(row):
            continue
        parts = [row.get(key) for key in ("provider", "model", "system", "template", "params")]
        groups.setdefault(canonical_json(parts), []).append(setting)
    several = [settings for settings in groups.values() if len(settings) > 1]
    return [_group(frame, settings, len(several) > 1) for settings in several]


def _group(frame: RunFrame, settings: list[int], labelled: bool) -> ConditionGroup:
    temperature = frame.params(settings[0]).get("temperature")
    return ConditionGroup(
        label=_group_label(frame, settings[0]) if labelled else "",
        conditions=[_condition(frame, setting) for setting in settings],
        named=all(LOAD_AXIS in frame.axes(setting) for setting in settings),
        temperature=None if temperature is None else float(temperature),
    )


def _group_label(frame: RunFrame, setting: int) -> str:
    others = {k: v for k, v in frame.axes(setting).items() if not k.startswith(LOAD_AXIS)}
    return ", ".join(f"{key}={value}" for key, value in others.items())


def _condition(frame: RunFrame, setting: int) -> Condition:
    load = _load(frame.setting_rows[setting])
    closed = load.get("arrival", "closed") == "closed"
    places = int(load.get("concurrency") or 1)
    background = int(load.get("background") or 0)
    name = frame.axes(setting).get(LOAD_AXIS) or ", ".join(_words(load, closed, places, background))
    return Condition(setting, str(name), places + background if closed else None)


def _words(load: JsonValues, closed: bool, places: int, background: int) -> Iterator[str]:
    if closed:
        yield f"{places} in flight"
    else:
        yield f"{load['arrival']} {load['rate']:g}/s" if "rate" in load else str(load["arrival"])
    if background:
        yield f"{background} others beside"
    if load.get("block"):
        yield f"block {load['block']}"


def _load(row: JsonValues) -> JsonValues:
    return msgspec.json.decode(row.get("load_json") or "{}")
