"""Holds a run to all gates that it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TypeAlias

from msgspec import structs

from evalharness.analysis.data.metrics import RATE_METRICS
from evalharness.analysis.summary import SettingSummary, summarise
from evalharness.cli.check.baseline import Baseline, PairedRuns
from evalharness.cli.check.changes import check_change
from evalharness.cli.check.prompt_gates import (
    PASS_SHARE,
    check_new_errors,
    check_new_failures,
    check_prompt_pass,
)
from evalharness.cli.check.rules import Rules
from evalharness.cli.check.selection import select_settings
from evalharness.cli.check.tags import tagged_frame
from evalharness.cli.check.verdicts import CheckVerdict
from evalharness.cli.gates import GATES, Verdict, check_settings
from evalharness.errors import ConfigError
from evalharness.report.build.open_run import RunData

AnyVerdict: TypeAlias = Verdict | CheckVerdict
#: The settings that a gate is held on, by the gate's name in :attr:`.Rules.names`.
_RowsOf: TypeAlias = Callable[[str], list[SettingSummary]]

_OF_ALL = {
    gate.flag: "load points" if gate.total is None else "settings"
    for gate in GATES
    if gate.total is not None or gate.load is not None
}


def hold_run(
    source: RunData, rules: Sequence[Rules], baseline: Baseline | None
) -> Iterator[AnyVerdict]:
    """The verdict of each gate on each setting (and tag) that it is for.

    Raises:
        ConfigError: no setting or no prompt is called so, or the baseline has no such settings.
    """
    parts: dict[str | None, _CheckedPart] = {}
    for each in rules:
        for tag in each.tag or [None]:
            if tag not in parts:
                parts[tag] = _CheckedPart(source, baseline, tag)
            yield from _hold(parts[tag], each, tag)


class _CheckedPart:
    """A run, or its prompts with a tag: what every entry of gates on them reads.

    Raises:
        ConfigError: no prompt has the tag.
    """

    def __init__(self, source: RunData, baseline: Baseline | None, tag: str | None) -> None:
        self.source = source
        self.baseline = baseline
        self.frame = source.frame if tag is None else tagged_frame(source, tag)
        self._tag = tag

    @cached_property
    def summaries(self) -> list[SettingSummary]:
        """Those of the settings; their labels name the tag."""
        return [_tagged(row, self._tag) for row in summarise(self.frame, self.source.costs)]

    @cached_property
    def paired(self) -> PairedRuns | None:
        """These records joined with the baseline; None without one."""
        if self.baseline is None:
            return None
        return self.baseline.pair(self.frame, self.source.run.name)


def _hold(part: _CheckedPart, rules: Rules, tag: str | None) -> Iterator[AnyVerdict]:
    if tag is not None:
        _refuse_of_whole(rules, tag)
    rows_of = _rows_of(rules, part.summaries, tag)
    yield from _limits(part.source, rules, rows_of)
    if rules.min_prompt_pass is not None:
        settings = _recorded(rows_of("min_prompt_pass"))
        yield from check_prompt_pass(part.frame, settings, rules.min_prompt_pass)
    if rules.need_baseline is not None and part.baseline is not None and part.paired is not None:
        yield from _against(rules, rows_of, part.paired, part.baseline)


def _rows_of(rules: Rules, summaries: list[SettingSummary], tag: str | None) -> _RowsOf:
    """The settings of each gate: those of the rules on which no typed gate stands over it."""
    rows = select_settings(summaries, rules.setting)
    typed = rules.over
    if typed is None or tag not in (typed.tag or [None]):
        return lambda _name: rows
    over = {row.setting_id for row in select_settings(summaries, typed.setting)}
    replaced = typed.names
    together = [gate.flag for gate in GATES if gate.total is not None]

    def rows_of(name: str) -> list[SettingSummary]:
        if name not in replaced:
            return rows
        if name in together:  # another sum, unless it is of the same settings
            return [] if over == {row.setting_id for row in rows} else rows
        return [row for row in rows if row.setting_id not in over]

    return rows_of


def _limits(source: RunData, rules: Rules, rows_of: _RowsOf) -> Iterator[Verdict]:
    for gate in GATES:
        rows = rows_of(gate.flag)
        replaced = rules.over is not None and not rows
        if gate.flag not in rules.limits or replaced:
            continue
        yield from check_settings(
            rows,
            source.costs,
            {gate.flag: rules.limits[gate.flag]},
            confident=rules.confident,
            selected=bool(rules.setting),
            load=source.load.data,
        )


def _recorded(rows: Sequence[SettingSummary]) -> list[tuple[str, str]]:
    """Id and label of the settings with records."""
    return [(row.setting_id, row.label) for row in rows if row.trials]


def _refuse_of_whole(rules: Rules, tag: str) -> None:
    """Refuse gates on figures that the prompts with a tag have no share of.

    Raises:
        ConfigError: there is one.
    """
    whole = [(f"--{f.replace('_', '-')}", of) for f, of in _OF_ALL.items() if f in rules.limits]
    whole += [
        (allowance.name, "load points")
        for allowance in rules.allowances
        if allowance.metric.column in RATE_METRICS
    ]
    for name, of in whole:
        raise ConfigError(f"--tag {tag}: {name} is of whole {of}", hint="give it without --tag")


def _against(
    rules: Rules, rows_of: _RowsOf, paired: PairedRuns, baseline: Baseline
) -> Iterator[CheckVerdict]:
    for limit in rules.allowances:
        settings = _recorded(rows_of(limit.name))
        yield from check_change(limit, settings, paired, baseline, confident=rules.confident)
    if rules.max_new_failures is not None:
        least = PASS_SHARE if rules.min_prompt_pass is None else rules.min_prompt_pass
        settings = _recorded(rows_of("max_new_failures"))
        yield from check_new_failures(
            paired, settings, rules.max_new_failures, least, baseline.other_scorers
        )
    if rules.max_new_errors is not None:
        settings = _recorded(rows_of("max_new_errors"))
        yield from check_new_errors(paired, settings, rules.max_new_errors)


def _tagged(row: SettingSummary, tag: str | None) -> SettingSummary:
    return row if tag is None else structs.replace(row, label=f"{row.label}, tag {tag}")
