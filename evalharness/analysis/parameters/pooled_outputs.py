"""Settings alike in everything but some parameters, and their outputs taken together."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.comparison.matching import normalise
from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Floats, Ints, ordered
from evalharness.analysis.data.frame import Frame


def groups(frame: Frame, *, ignore: tuple[str, ...], without_zero: bool) -> list[list[int]]:
    """Group settings equal in everything but the ignored parameters.

    ``without_zero`` leaves out those that ask for temperature 0.
    """
    found: dict[Any, list[int]] = {}
    for setting in range(len(frame.setting_ids)):
        params = frame.params(setting)
        if without_zero and params.get("temperature") == 0:
            continue
        rest = sorted((k, normalise(v)) for k, v in params.items() if k not in ignore)
        found.setdefault(tuple(rest), []).append(setting)
    return list(found.values())


def key(frame: Frame, setting: int, name: str) -> Any:
    """Return the value of a parameter in a form that compares."""
    return normalise(frame.params(setting).get(name))


def known_rows(frame: Frame, settings: list[int]) -> Ints:
    """Places of the records of some settings whose output is known."""
    parts = [frame.rows_of(setting) for setting in settings]
    return np.concatenate([np.flatnonzero(frame.known[part]) + part.start for part in parts])


def known_outputs(frame: Frame, settings: list[int]) -> Ints:
    """Count the known outputs of each prompt, settings taken together."""
    rows = known_rows(frame, settings)
    return np.bincount(frame.prompt[rows], minlength=len(frame.prompt_ids))


def counted(frame: Frame, settings: list[int], most: Ints | None = None) -> variants.Variants:
    """Output variants of each prompt, settings taken together.

    ``most``, one a prompt, takes only so many outputs of it: those of the first repeats, the
    settings in turn.
    """
    rows = _taken(frame, settings, most)
    return variants.count_variants(frame.prompt[rows], frame.output[rows], len(frame.prompt_ids))


def counted_draws(frame: Frame, settings: list[int], most: Ints | None = None) -> variants.Variants:
    """What :func:`counted` would find if no two draws had given the same text.

    Each output is a draw of its own; only equal texts of one seed are one draw, since an honoured
    seed makes them so.
    """
    rows = _taken(frame, settings, most)
    seeds: dict[Any, int] = {normalise(None): 0}
    numbers = {s: seeds.setdefault(key(frame, s, "seed"), len(seeds)) for s in settings}
    by_setting = np.zeros(len(frame.setting_ids), np.int64)
    for setting, number in numbers.items():
        by_setting[setting] = number
    seed = by_setting[frame.setting[rows]]
    draw = frame.output[rows].astype(np.int64) * len(seeds) + seed
    # A negative code is equal to nothing.
    draw = np.where(seed == 0, -1, draw)
    return variants.count_variants(frame.prompt[rows], draw, len(frame.prompt_ids))


def equal_pairs(frame: Frame, settings: list[int]) -> tuple[Floats, Floats]:
    """Equal pairs and all pairs of outputs of each prompt, settings taken together."""
    found = counted(frame, settings)
    count, n = found.count.astype(np.float64), found.n.astype(np.float64)
    equal: Floats = np.bincount(found.cell, count * (count - 1) / 2, minlength=len(n)).astype(
        np.float64
    )
    return equal, n * (n - 1) / 2


def _taken(frame: Frame, settings: list[int], most: Ints | None) -> Ints:
    rows = known_rows(frame, settings)
    if most is None:
        return rows
    rows = rows[ordered(frame.prompt[rows], frame.repeat[rows], frame.setting[rows])]
    prompt = frame.prompt[rows]
    return rows[np.arange(rows.size) - np.searchsorted(prompt, prompt) < most[prompt]]


def undetectable(parameter: str, reason: str) -> dict[str, Any]:
    """Return the verdict where nothing could be looked at, with the reason."""
    return {
        "parameter": parameter,
        "verdict": "undetectable",
        "evidence": {"n": 0},
        "sentence": f"{parameter} undetectable: {reason}",
    }
