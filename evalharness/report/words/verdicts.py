"""Verdicts on parameters as people read them: settings of which the same is true told once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalharness.report.words.answers import listing

Row = dict[str, Any]

_NAMED = 2  # settings named before the rest are counted


def together(effects: Sequence[Row]) -> list[Row]:
    """The ``effects`` of the JSON, those on temperature 0 with the same finding made one.

    Of those the parameter is ``temperature 0``, and the sentence names the settings.
    """
    found: dict[tuple[str, str], Row] = {}
    labels: dict[tuple[str, str], list[str]] = {}
    for place, effect in enumerate(effects):
        label = effect["evidence"].get("label")
        head = f"temperature 0 ({label}): "
        if label is None or not effect["sentence"].startswith(head):
            found["", str(place)] = effect
            continue
        text = effect["sentence"].removeprefix(head)
        found.setdefault((effect["verdict"], text), effect)
        labels.setdefault((effect["verdict"], text), []).append(label)
    return [
        effect if key not in labels else _one(effect, labels[key], key[1])
        for key, effect in found.items()
    ]


def _one(effect: Row, labels: list[str], text: str) -> Row:
    if len(labels) == 1:
        return effect
    where = f"{len(labels)} settings: {listing(labels, _NAMED)}"
    return {**effect, "sentence": f"temperature 0 ({where}): {text}"}
