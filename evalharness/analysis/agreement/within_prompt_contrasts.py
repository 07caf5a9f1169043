"""Contrasts between two groups of a breakdown, paired by prompt.

The groups of a breakdown hold different prompts, so their agreements cannot be compared directly.
Here each prompt is its own control: its agreement in one group minus that in the other, over the
prompts that have pairs in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
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


class WithinPromptContrast(msgspec.Struct, frozen=True, kw_only=True):
    """Two groups of a breakdown of one setting, compared within prompts.

    Attributes:
        by: the breakdown.
        group: the group that is compared.
        against: the group it is compared with.
        difference: mean over prompts of the agreement in ``group`` minus that in ``against``.
        prompts: how many have pairs in both groups; at least six.
        p: of sign flips over prompts; null where undefined.
        p_adjusted: p adjusted by Holm over all contrasts of the run; null where p is.
    """

    by: str
    group: str
    against: str
    difference: float
    prompts: int
    p: float | None
    p_adjusted: float | None


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


class _PromptDifferences(NamedTuple):
    """The differences of two groups by prompt, of one breakdown of one setting; NaN unknown."""

    setting: int
    by: str
    group: str
    against: str
    values: Floats


def contrasts(
    frame: RunFrame, tables: Mapping[str, GroupComparison]
) -> list[list[WithinPromptContrast]]:
    """Compare two groups of each breakdown in each setting.

    Args:
        frame: the run.
        tables: the breakdowns in which two groups occur.

    Returns:
        One list a setting, an entry for each breakdown with at least six prompts in both groups.

    """
    rows = [row for row in _differences(frame, tables) if _known(row.values) >= MIN_PROMPTS]
    out: list[list[WithinPromptContrast]] = [[] for _ in frame.setting_ids]
    if not rows:
        return out
    p = stats.sign_flip(np.column_stack([row.values for row in rows]), clusters=frame.clusters)
    for row, raw, adjusted in zip(rows, p, stats.holm(p)[0], strict=True):
        contrast = WithinPromptContrast(
            by=row.by,
            group=row.group,
            against=row.against,
            difference=float(row.values[np.isfinite(row.values)].mean()),
            prompts=_known(row.values),
            p=json_values.number(raw),
            p_adjusted=json_values.number(adjusted),
        )
        out[row.setting].append(contrast)
    return out


def _differences(
    frame: RunFrame, tables: Mapping[str, GroupComparison]
) -> Iterator[_PromptDifferences]:
    for name, table in tables.items():
        group, against = (table.names[index] for index in table.groups)
        shares = np.where(table.pairs > 0, table.equal_pairs / np.maximum(table.pairs, 1), np.nan)
        differences = (shares[0] - shares[1]).reshape(len(frame.setting_ids), -1)
        for setting, values in enumerate(differences):
            yield _PromptDifferences(setting, name, group, against, values)


def _known(values: Floats) -> int:
    return int(np.isfinite(values).sum())


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
