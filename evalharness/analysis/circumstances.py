"""Do repeats made under different circumstances agree less? Paired by prompt, one row a breakdown.

A breakdown's groups hold different prompts, so their agreements cannot be held against each other
as they stand. Here each prompt is its own control: its agreement in one group minus that in the
other, over the prompts that have pairs in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evalharness.analysis import plain, stats
from evalharness.analysis.encode import Bools, Floats, Ints
from evalharness.analysis.frame import Frame
from evalharness.analysis.pairs import Pairs

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


def contrasts(
    frame: Frame, pairs: Pairs, tables: Mapping[str, tuple[list[str], Ints]]
) -> list[list[dict[str, Any]]]:
    """Compare two groups of each breakdown in every setting.

    Args:
        frame: the run.
        pairs: the pairs that were sorted into groups.
        tables: by breakdown its groups' names, the last of them the unknown, and each pair's group.

    Returns:
        One list a setting, an entry for each breakdown with at least six prompts in both groups:
        ``by``, ``group``, ``against``, ``difference`` (the mean over ``prompts`` of the agreement
        in ``group`` minus that in ``against``), ``p`` of sign flips over prompts and
        ``p_adjusted``, Holm over all entries of the run.

    """
    out: list[list[dict[str, Any]]] = [[] for _ in frame.setting_ids]
    found: list[dict[str, Any]] = []
    columns: list[Floats] = []
    for name, (names, group) in tables.items():
        ends = _ends(name, names, group)
        if ends is None:
            continue
        compared, against = (_by_cell(frame, pairs, group == end) for end in ends)
        for setting, values in enumerate(compared - against):
            prompts = int(np.isfinite(values).sum())
            if prompts < LEAST_PROMPTS:
                continue
            row = {"by": name, "group": names[ends[0]], "against": names[ends[1]]}
            found.append({**row, "difference": plain.mean(values), "prompts": prompts})
            out[setting].append(found[-1])
            columns.append(values)
    if found:
        p = stats.sign_flip(np.column_stack(columns), clusters=frame.clusters)
        for row, raw, adjusted in zip(found, p, stats.holm(p)[0], strict=True):
            row.update(p=plain.number(raw), p_adjusted=plain.number(adjusted))
    return out


def _ends(name: str, names: list[str], group: Ints) -> tuple[int, int] | None:
    """The two groups to compare; None where fewer than two occur."""
    known = np.unique(group[(group >= 0) & (group < len(names) - 1)]).tolist()
    if len(known) < 2:
        return None
    ends = _GROUPS[name] or (known[-1], known[0])
    return ends if set(ends) <= set(known) else None


def _by_cell(frame: Frame, pairs: Pairs, members: Bools) -> Floats:
    """Settings × prompts: the share of equal pairs among some pairs; NaN without any."""
    every = np.bincount(pairs.cell[members], minlength=frame.cells)
    same = np.bincount(pairs.cell[members & pairs.equal], minlength=frame.cells)
    share = np.where(every > 0, same / np.maximum(every, 1), np.nan)
    return share.reshape(len(frame.setting_ids), -1)
