"""Outputs pooled over settings that differ only in some parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Floats, Ints, sort_order
from evalharness.analysis.data.frame import RunFrame
from evalharness.config.parameter_values import comparison_key


def group_settings(
    frame: RunFrame, *, ignore: tuple[str, ...], without_zero: bool
) -> list[list[int]]:
    """Group the settings that are equal in all but the ignored parameters.

    ``without_zero`` leaves out those with temperature 0.
    """
    by_rest: dict[Any, list[int]] = {}
    for setting in range(len(frame.setting_ids)):
        params = frame.params(setting)
        if without_zero and params.get("temperature") == 0:
            continue
        rest = sorted((k, comparison_key(v)) for k, v in params.items() if k not in ignore)
        by_rest.setdefault(tuple(rest), []).append(setting)
    return list(by_rest.values())


def parameter_key(frame: RunFrame, setting: int, name: str) -> Any:
    """Return the value of a parameter in a form that compares."""
    return comparison_key(frame.params(setting).get(name))


def known_rows(frame: RunFrame, settings: list[int]) -> Ints:
    """Rows of the records of some settings whose output is known."""
    parts = [frame.rows_of(setting) for setting in settings]
    return np.concatenate([np.flatnonzero(frame.known[part]) + part.start for part in parts])


def known_outputs(frame: RunFrame, settings: list[int]) -> Ints:
    """Count the known outputs of each prompt over some settings."""
    rows = known_rows(frame, settings)
    return np.bincount(frame.prompt[rows], minlength=len(frame.prompt_ids))


def pooled_variants(
    frame: RunFrame, settings: list[int], limit: Ints | None = None
) -> variants.VariantCounts:
    """Output variants of each prompt over some settings.

    ``limit``, one a prompt, takes only so many of its outputs: those of the first repeats, from the
    settings in turn.
    """
    rows = _pooled_rows(frame, settings, limit)
    return variants.count_variants(frame.prompt[rows], frame.output[rows], len(frame.prompt_ids))


def pooled_draws(
    frame: RunFrame, settings: list[int], limit: Ints | None = None
) -> variants.VariantCounts:
    """:func:`pooled_variants` as if no two draws had given the same text.

    Each output is a draw of its own, except that equal texts of one seed are one draw, since an
    honoured seed makes them equal.
    """
    rows = _pooled_rows(frame, settings, limit)
    seeds: dict[Any, int] = {comparison_key(None): 0}
    numbers = {s: seeds.setdefault(parameter_key(frame, s, "seed"), len(seeds)) for s in settings}
    by_setting = np.zeros(len(frame.setting_ids), np.int64)
    for setting, number in numbers.items():
        by_setting[setting] = number
    seed = by_setting[frame.setting[rows]]
    draw = frame.output[rows].astype(np.int64) * len(seeds) + seed
    # A negative code is equal to nothing.
    draw = np.where(seed == 0, -1, draw)
    return variants.count_variants(frame.prompt[rows], draw, len(frame.prompt_ids))


def equal_pairs(frame: RunFrame, settings: list[int]) -> tuple[Floats, Floats]:
    """Equal pairs and all pairs of outputs of each prompt over some settings."""
    counts = pooled_variants(frame, settings)
    count, n = counts.count.astype(np.float64), counts.n.astype(np.float64)
    equal: Floats = np.bincount(counts.cell, count * (count - 1) / 2, minlength=len(n)).astype(
        np.float64
    )
    return equal, n * (n - 1) / 2


def _pooled_rows(frame: RunFrame, settings: list[int], limit: Ints | None) -> Ints:
    rows = known_rows(frame, settings)
    if limit is None:
        return rows
    rows = rows[sort_order(frame.prompt[rows], frame.repeat[rows], frame.setting[rows])]
    prompt = frame.prompt[rows]
    return rows[np.arange(rows.size) - np.searchsorted(prompt, prompt) < limit[prompt]]
