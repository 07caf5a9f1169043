"""Do repeats made under different circumstances agree less? Paired by prompt, one row a breakdown.

A breakdown's groups hold different prompts, so their agreements cannot be held against each other
as they stand. Here each prompt is its own control: its agreement in one group minus that in the
other, over the prompts that have pairs in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import Frame

#: Which two groups are compared, by place; None: the last against the first that occurs.
_GROUPS: dict[str, tuple[int, int] | None] = {
    "system_fingerprint": (1, 0),  # different against equal
    "served_model": (1, 0),
    "time_gap": None,
    "in_flight": None,
    "cached_tokens": None,
}
COMPARED = frozenset(_GROUPS)
LEAST_PROMPTS = 6  # fewer can never be significant


class Compared(NamedTuple):
    """Two groups of a breakdown.

    Attributes:
        names: of all groups, the last of them the unknown.
        ends: the two that are compared, by place: the one, and the one that it is held against.
        every, same: their pairs and equal pairs, 2 × cells.

    """

    names: list[str]
    ends: tuple[int, int]
    every: Ints
    same: Ints


def contrasts(frame: Frame, tables: Mapping[str, Compared]) -> list[list[dict[str, Any]]]:
    """Compare two groups of each breakdown in every setting.

    Args:
        frame: the run.
        tables: the breakdowns in which two groups occur.

    Returns:
        One list a setting, an entry for each breakdown with at least six prompts in both groups:
        ``by``, ``group``, ``against``, ``difference`` (the mean over ``prompts`` of the agreement
        in ``group`` minus that in ``against``), ``p`` of sign flips over prompts and
        ``p_adjusted``, Holm over all entries of the run.

    """
    out: list[list[dict[str, Any]]] = [[] for _ in frame.setting_ids]
    found: list[dict[str, Any]] = []
    columns: list[Floats] = []
    for name, table in tables.items():
        group, against = (table.names[end] for end in table.ends)
        shares = np.where(table.every > 0, table.same / np.maximum(table.every, 1), np.nan)
        for setting, values in enumerate((shares[0] - shares[1]).reshape(len(out), -1)):
            prompts = int(np.isfinite(values).sum())
            if prompts < LEAST_PROMPTS:
                continue
            row = {"by": name, "group": group, "against": against}
            found.append({**row, "difference": json_values.mean(values), "prompts": prompts})
            out[setting].append(found[-1])
            columns.append(values)
    if found:
        p = stats.sign_flip(np.column_stack(columns), clusters=frame.clusters)
        for row, raw, adjusted in zip(found, p, stats.holm(p)[0], strict=True):
            row.update(p=json_values.number(raw), p_adjusted=json_values.number(adjusted))
    return out


def chosen(name: str, every: Ints) -> tuple[int, int] | None:
    """The two groups to compare; None where fewer than two occur.

    Args:
        name: of the breakdown.
        every: pairs by group and cell, the last group the unknown.

    """
    known = np.flatnonzero(every[:-1].any(axis=1)).tolist()
    if len(known) < 2:
        return None
    ends = _GROUPS[name] or (known[-1], known[0])
    return ends if set(ends) <= set(known) else None
