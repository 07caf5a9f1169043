"""Runs none of whose settings has a counterpart in the baseline run, and what compares them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.comparison.matching import RUN, SettingPair, find_pairs, varying_axes
from evalharness.analysis.data.join_runs import SettingColumn
from evalharness.errors import ConfigError


class UnpairedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that shares no setting with the baseline run.

    Attributes:
        run: the run.
        differs_in: axes in which the settings of the two differ, in alphabetical order.
        comparable_by: of these, the axes along which settings of the two are compared.
    """

    run: str
    differs_in: list[str]
    comparable_by: list[str]


def unpaired_runs(columns: Sequence[SettingColumn], baseline: str) -> list[UnpairedRun]:
    """Find the runs that share no setting with the baseline run, in the order of the runs."""
    paired = {pair.compared[0].run for pair in _pairs(columns, RUN, baseline)} | {baseline}
    return [
        _unpaired(run, [column for column in columns if column.run in (run, baseline)])
        for run in dict.fromkeys(column.run for column in columns)
        if run not in paired
    ]


def _unpaired(run: str, columns: Sequence[SettingColumn]) -> UnpairedRun:
    axes = [axis for axis in varying_axes(columns) if axis != RUN]
    comparable = [axis for axis in axes if any(map(_is_of_two_runs, _pairs(columns, axis)))]
    return UnpairedRun(run=run, differs_in=axes, comparable_by=comparable)


def _is_of_two_runs(pair: SettingPair) -> bool:
    return any(a.run != b.run for a, b in zip(pair.compared, pair.baseline, strict=True))


def _pairs(
    columns: Sequence[SettingColumn], axis: str, baseline: str | None = None
) -> list[SettingPair]:
    try:
        return find_pairs(columns, axis, baseline)
    except ConfigError:
        return []
