"""What stands for the values of settings in comparisons, over several runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import JsonValues
from evalharness.config.parameter_values import comparison_key
from evalharness.config.value_texts import MAX_TEXT, value_texts

_NAMES = ("provider", "model")  # values that are names already


def sent_value(frame: RunFrame, setting: int, axis: str) -> Any:
    """What a setting really sends on an axis; None is not sent."""
    params = frame.params(setting)
    if axis != "extra":
        return params.get(axis)
    fields = {k.removeprefix("extra."): v for k, v in params.items() if k.startswith("extra.")}
    return fields or None


def shown_values(frames: Mapping[str, RunFrame]) -> list[list[JsonValues]]:
    """The compared values of each setting of each run, with one name for equal values.

    A text that one run calls ``terse`` is ``terse`` in every run that does not use the name for
    another text. Long texts without a name are shortened.
    """
    shown = [
        [frame.compared_values(index) for index in range(len(frame.setting_ids))]
        for frame in frames.values()
    ]
    if len(frames) > 1:
        _share_names(list(frames.values()), shown)
        _shorten(shown)
    return shown


def _share_names(frames: list[RunFrame], shown: list[list[JsonValues]]) -> None:
    name_of: dict[tuple[str, Hashable], str] = {}
    for frame in frames:
        for index in range(len(frame.setting_ids)):
            for axis, named in frame.named_values(index).items():
                key = comparison_key(sent_value(frame, index, axis))
                name_of.setdefault((axis, key), named.name)
    axes = {axis for axis, _ in name_of}
    for frame, rows in zip(frames, shown, strict=True):
        meanings: defaultdict[tuple[str, Any], set[Hashable]] = defaultdict(set)
        for index in range(len(rows)):
            for axis, named in frame.named_values(index).items():
                key = comparison_key(sent_value(frame, index, axis))
                meanings[axis, named.name].add(key)
        for index, row in enumerate(rows):
            for axis in axes & row.keys():
                value = sent_value(frame, index, axis)
                key = comparison_key(value)
                name = name_of.get((axis, key))
                if name is not None and _is_long(value) and meanings[axis, name] <= {key}:
                    row[axis] = name


def _shorten(shown: list[list[JsonValues]]) -> None:
    rows = [row for run in shown for row in run]
    for axis in {axis for row in rows for axis in row} - {*_NAMES}:
        values = [row.get(axis) for row in rows]
        if not any(_is_long(value) and len(str(value)) > MAX_TEXT for value in values):
            continue
        for row, value, text in zip(rows, values, value_texts(values), strict=True):
            if _is_long(value):
                row[axis] = text


def _is_long(value: Any) -> bool:
    """Whether a value may need a name: a text or an object."""
    return isinstance(value, str | list | dict)
