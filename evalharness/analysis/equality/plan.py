"""The prompts, repeats and dollars it takes for the model equality test to find a difference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap

import msgspec
import numpy as np

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.equality.kernel import MAX_LENGTH, hamming_kernel, pad_outputs
from evalharness.analysis.equality.outputs import (
    OutputsOfBoth,
    SideRows,
    chosen_prompts,
    outputs_of,
    unrelated_agreement,
)
from evalharness.analysis.equality.power import (
    MIN_OUTPUTS,
    KernelFigures,
    kernel_figures,
    prompts_needed,
)
from evalharness.analysis.stats.intervals import LEVEL
from evalharness.analysis.stats.power import POWER
from evalharness.errors import ConfigError
from evalharness.process.text import plural

WIDTH = 100  # of lines for people
REPEATS = (2, 3, 5, 10, 20)
#: Figures of simulated token models (benchmarks/calibration_equality.py), at two extremes.
TYPICAL = {
    "outputs that part after a few tokens": KernelFigures(
        agreement=0.060,
        unrelated=0.020,
        contrast_square=0.0024,
        unrelated_variance=0.0004,
        kernel_variance=0.0014,
        line_variance=0.0003,
    ),
    "outputs that mostly repeat": KernelFigures(
        agreement=0.79,
        unrelated=0.020,
        contrast_square=0.61,
        unrelated_variance=0.0004,
        kernel_variance=0.010,
        line_variance=0.043,
    ),
}


class EqualityOption(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes with some number of repeats.

    Attributes:
        outputs: which outputs it is planned for, in words.
        repeats: of each prompt on each side.
        prompts: number of prompts it needs; null where none up to 100,000 does.
        trials: of both sides together; null where ``prompts`` is.
        cost_usd: their cost, US dollars; null is unknown.
        enough: whether the prompts of the plan are as many; null where ``prompts`` is.
    """

    outputs: str
    repeats: int
    prompts: int | None
    trials: int | None
    cost_usd: float | None
    enough: bool | None


class EqualityPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to find a share of one side's outputs that comes from elsewhere.

    Attributes:
        share: to be found, 0 to 1: of outputs as unlike as outputs to other prompts.
        level: confidence level of the test, 0 to 1.
        power: chance that the test finds it, 0 to 1.
        figures: how much outputs agree, by the outputs they are of.
        source: what that is known from, in words.
        assumed: whether it is assumed, not measured.
        options: one a number of repeats, and of ``figures``.
        lines: the same for people.
    """

    share: float
    level: float
    power: float
    figures: dict[str, KernelFigures]
    source: str
    assumed: bool
    options: list[EqualityOption]
    lines: list[str]


def parse_share(text: str) -> float:
    """A share in 0..1 from ``20%`` or ``0.2``.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    value = float(match[1]) / (100.0 if match[2] else 1.0) if match else 0.0
    if not 0.0 < value <= 1.0:
        raise ConfigError(
            f"`--equality {text}` is not a share above 0 and up to 100 %",
            hint="write it as --equality 20% or 0.2",
        )
    return value


def plan_equality(
    share: float,
    *,
    prompts: int,
    pilot: RunFrame | None = None,
    pilot_name: str = "pilot",
    cost_per_trial_usd: float | None = None,
    repeats: Sequence[int] = REPEATS,
) -> EqualityPlan:
    """Plan for a share of one side's outputs that comes from elsewhere.

    Args:
        share: above 0, at most 1.
        prompts: how many there are.
        pilot: a run with four repeats or more; of its settings the one is taken that needs the most
            prompts. None assumes the figures of simulated token models.
        pilot_name: its name in ``source``.
        cost_per_trial_usd: mean cost of a trial; None is unknown.
        repeats: which numbers to tabulate.

    Raises:
        ConfigError: no prompt of the pilot has four outputs under one setting.
    """
    figures, source = TYPICAL, "assumed: simulated token models (--from RUN takes one of yours)"
    if pilot is not None:
        figures, source = pilot_figures(pilot), f"measured in {pilot_name}"
    options = [
        _option(outputs, each, share, k, prompts, cost_per_trial_usd)
        for outputs, each in figures.items()
        for k in repeats
    ]
    return EqualityPlan(
        share=share,
        level=LEVEL,
        power=POWER,
        figures={**figures},
        source=source,
        assumed=pilot is None,
        options=options,
        lines=_lines(share, options, source),
    )


def _option(
    outputs: str,
    figures: KernelFigures,
    share: float,
    repeats: int,
    prompts: int,
    cost: float | None,
) -> EqualityOption:
    needed = prompts_needed(figures, share, repeats)
    trials = None if needed is None else 2 * needed * repeats
    return EqualityOption(
        outputs=outputs,
        repeats=repeats,
        prompts=needed,
        trials=trials,
        cost_usd=None if trials is None or cost is None else trials * cost,
        enough=None if needed is None else needed <= prompts,
    )


def pilot_figures(pilot: RunFrame) -> dict[str, KernelFigures]:
    """The figures of the setting that needs the most prompts, under its label.

    Raises:
        ConfigError: no prompt has four outputs under one setting.
    """
    joined = JoinedRuns.of({"": pilot})
    by_label: dict[str, KernelFigures] = {}
    for column in joined.columns:
        side = SideRows.of(joined, column)
        enough = np.flatnonzero(side.repeats(len(joined.prompt_ids)) >= MIN_OUTPUTS)
        read = outputs_of(side, side, chosen_prompts(enough), "character")
        outputs = [each for each in read if each is not None]
        figures = _side_figures(outputs)
        if figures is not None:
            by_label[column.label] = figures
    if not by_label:
        raise ConfigError(
            "no prompt of the pilot run has four outputs under one setting: how much they agree "
            "cannot be estimated",
            hint="run it with repeats=4 or more, or leave out --from",
        )

    def prompts(label: str) -> float:
        return prompts_needed(by_label[label], 0.2, 5) or np.inf

    label = max(by_label, key=prompts)
    return {f"outputs of {label}": by_label[label]}


def _side_figures(outputs: Sequence[OutputsOfBoth]) -> KernelFigures | None:
    length = min(MAX_LENGTH, max((len(o) for each in outputs for o in each.a), default=0))
    unrelated = unrelated_agreement(outputs, length)
    if unrelated is None:
        return None
    return kernel_figures([hamming_kernel(pad_outputs(o.a, length)) for o in outputs], unrelated)


def _lines(share: float, options: Sequence[EqualityOption], source: str) -> list[str]:
    lines = [
        f"to find that {100 * share:g} % of one side's outputs are as unlike as outputs to other",
        f"prompts, with {100 * POWER:.0f} % chance (compare --equality):",
    ]
    for outputs in dict.fromkeys(option.outputs for option in options):
        of = [option for option in options if option.outputs == outputs and option.trials]
        if not of:
            why = "they hardly agree more than outputs to other prompts"
            lines.append(f"  {outputs}: no number of prompts up to 100,000 does; {why}")
            continue
        best = min(of, key=lambda option: (not option.enough, option.trials or 0))
        text = f"{plural(best.prompts or 0, 'prompt')} × {plural(best.repeats, 'repeat')}"
        more = "" if best.enough else "; the prompts of this plan are too few"
        cost = "cost unknown" if best.cost_usd is None else f"about ${best.cost_usd:,.2f}"
        trials = f"{text} × 2 sides = {best.trials:,} trials"
        entry = f"{outputs}: {trials}, {cost}{more}"
        lines += wrap(entry, WIDTH, initial_indent="  ", subsequent_indent="    ")
    end = f"how much outputs agree: {source}; sums over prompts taken as normal"
    return [*lines, *wrap(end, WIDTH, initial_indent="  ", subsequent_indent="    ")]
