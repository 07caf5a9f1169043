"""Contrasts between two groups of a breakdown, paired by prompt.

The groups of a breakdown hold different prompts, so their agreements cannot be compared directly.
Here each prompt is its own control: its agreement in one group minus that in the other, over the
prompts that have pairs in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.stats.design import MIN_PROMPTS

#: The two groups that are compared, by index; None: the last against the first that occurs.
_GROUPS: dict[str, tuple[int, int] | None] = {
    "system_fingerprint": (1, 0),  # different against equal
    "response_model": (1, 0),
    "time_gap": None,
    "in_flight": None,
    "cached_tokens": None,
}
CONTRASTED = frozenset(_GROUPS)


class GroupComparison(NamedTuple):
    """Two groups of a breakdown.

    Attributes:
        names: of all groups of the breakdown; the last is "unknown".
        groups: the compared group and the one it is compared with, by index.
        pairs, equal_pairs: how many pairs and equal pairs the two have, 2 × cells.

    """

    names: list[str]
    groups: tuple[int, int]
    pairs: Ints
    equal_pairs: Ints


def contrasts(frame: RunFrame, tables: Mapping[str, GroupComparison]) -> list[list[dict[str, Any]]]:
    """Compare two groups of each breakdown in each setting.

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
    rows: list[dict[str, Any]] = []
    columns: list[Floats] = []
    for name, table in tables.items():
        group, against = (table.names[index] for index in table.groups)
        shares = np.where(table.pairs > 0, table.equal_pairs / np.maximum(table.pairs, 1), np.nan)
        for setting, values in enumerate((shares[0] - shares[1]).reshape(len(out), -1)):
            prompts = int(np.isfinite(values).sum())
            if prompts < MIN_PROMPTS:
                continue
            row = {"by": name, "group": group, "against": against}
            rows.append({**row, "difference": json_values.mean(values), "prompts": prompts})
            out[setting].append(rows[-1])
            columns.append(values)
    if rows:
        p = stats.sign_flip(np.column_stack(columns), clusters=frame.clusters)
        for row, raw, adjusted in zip(rows, p, stats.holm(p)[0], strict=True):
            row.update(p=json_values.number(raw), p_adjusted=json_values.number(adjusted))
    return out


def groups_to_compare(name: str, pairs: Ints) -> tuple[int, int] | None:
    """The two groups to compare, by index; None where fewer than two occur.

    Args:
        name: of the breakdown.
        pairs: how many pairs there are by group and cell; the last group is "unknown".

    """
    known = np.flatnonzero(pairs[:-1].any(axis=1)).tolist()
    if len(known) < 2:
        return None
    groups = _GROUPS[name] or (known[-1], known[0])
    return groups if set(groups) <= set(known) else None
