"""Verdicts on parameters for people: equal findings of several settings become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalharness.report.words.headline_answers import join_names

Row = dict[str, Any]

_MAX_NAMES = 2  # settings named; further ones are counted


def merge_verdicts(effects: Sequence[Row]) -> list[Row]:
    """Merge equal findings on temperature 0 in the ``effects`` of the JSON.

    The sentence of a merged finding names its settings.
    """
    merged: dict[tuple[str, str], Row] = {}
    labels: dict[tuple[str, str], list[str]] = {}
    for index, effect in enumerate(effects):
        label = effect["evidence"].get("label")
        prefix = f"temperature 0 ({label}): "
        if label is None or not effect["sentence"].startswith(prefix):
            merged["", str(index)] = effect
            continue
        text = effect["sentence"].removeprefix(prefix)
        merged.setdefault((effect["verdict"], text), effect)
        labels.setdefault((effect["verdict"], text), []).append(label)
    return [
        effect if key not in labels else _with_setting_names(effect, labels[key], key[1])
        for key, effect in merged.items()
    ]


def _with_setting_names(effect: Row, labels: list[str], text: str) -> Row:
    if len(labels) == 1:
        return effect
    where = f"{len(labels)} settings: {join_names(labels, _MAX_NAMES)}"
    return {**effect, "sentence": f"temperature 0 ({where}): {text}"}
