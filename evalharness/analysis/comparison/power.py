"""Power planning: the prompts, repeats and dollars it takes to detect a difference in score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from textwrap import wrap

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.stats.intervals import LEVEL
from evalharness.analysis.stats.power import POWER
from evalharness.errors import ConfigError
from evalharness.process.text import plural

REPEATS = (1, 2, 3, 5, 10)
_NEAR_BOUND = 0.2  # of a mean score
WIDTH = 100  # of lines for people


class ScoreVariances(msgspec.Struct, frozen=True, kw_only=True):
    """How much scores vary, in squares of scores from 0 to 1.

    Attributes:
        omega2: variance between prompts of the true difference of two settings.
        within_a, within_b: variance between repeats of a prompt under each setting.
    """

    omega2: float
    within_a: float
    within_b: float


class DetectionOption(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to detect a difference with some number of repeats.

    Attributes:
        repeats: of each prompt.
        prompts: number of prompts it needs; null where no number of them would do.
        trials: of both settings together; null where ``prompts`` is.
        cost_usd: their cost, US dollars; null is unknown.
        mde: smallest difference that the prompts there are detect, 0 to 1; null where their number
            is unknown, and where they detect none.
        enough: whether the prompts there are do; null where their number is unknown.
    """

    repeats: int
    prompts: int | None
    trials: int | None
    cost_usd: float | None
    mde: float | None
    enough: bool | None


class DetectionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to detect a difference in mean score between two settings.

    Attributes:
        difference: to be detected, 0 to 1.
        level: confidence level of the test, 0 to 1.
        power: chance that the test detects the difference if it exists, 0 to 1.
        components: how much scores vary.
        source: what that is known from, in words.
        assumed: names of the components that are assumed; ``all`` where each of them is.
        options: one a number of repeats.
        lines: the same for people.
    """

    difference: float
    level: float
    power: float
    components: ScoreVariances
    source: str
    assumed: list[str]
    options: list[DetectionOption]
    lines: list[str]


def parse_difference(text: str) -> float:
    """Return a difference of shares in 0..1 from ``2pp``, ``2%``, ``2 pp`` or ``0.02``.

    Raises:
        ConfigError: not a number, or not between 0 and 100 points.

    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(pp|%|)\s*", text)
    value = float(match[1]) / (100.0 if match[2] else 1.0) if match else 0.0
    if not 0.0 < value <= 1.0:
        raise ConfigError(
            f"`--detect {text}` is not a difference between 0 and 100 percentage points",
            hint="write it as --detect 5pp or 0.05",
        )
    return value


def plan_detection(
    difference: float,
    *,
    pilot: RunFrame | None = None,
    pilot_name: str = "pilot",
    cost_per_trial_usd: float | None = None,
    prompts: int | None = None,
    repeats: Sequence[int] = REPEATS,
) -> DetectionPlan:
    """Plan how to detect a difference in mean score between two settings.

    Args:
        difference: in 0..1 (0.02 is two percentage points).
        pilot: a scored run with at least two repeats; its pair of settings that needs the most
            prompts is taken. With one setting only, the between-prompt variance of the
            difference is assumed. None assumes all components from published runs.
        pilot_name: the name of the pilot in ``source``.
        cost_per_trial_usd: mean cost of a trial; None takes the pilot's, if it is known.
        prompts: how many prompts there are; None takes the pilot's number.
        repeats: which K to tabulate.
    """
    components, assumed = stats.TYPICAL_COMPONENTS, ["all"]
    source = "published runs at T=0 against T=1 (--from RUN takes one of yours)"
    if pilot is not None:
        components, origin, assumed = pilot_components(pilot)
        source = f"{pilot_name}: {origin}"
        cost_per_trial_usd = cost_per_trial_usd or _mean_cost(pilot)
        prompts = prompts or len(pilot.prompt_ids)
    options = [_option(components, difference, k, prompts, cost_per_trial_usd) for k in repeats]
    return DetectionPlan(
        difference=difference,
        level=LEVEL,
        power=POWER,
        components=ScoreVariances(
            omega2=components.omega2, within_a=components.within_a, within_b=components.within_b
        ),
        source=source,
        assumed=assumed,
        options=options,
        lines=_plan_lines(
            difference, options, prompts, source, rough=_is_rough(components, difference)
        ),
    )


def _option(
    components: stats.VarianceComponents,
    difference: float,
    repeats: int,
    prompts: int | None,
    cost_per_trial_usd: float | None,
) -> DetectionOption:
    needed = stats.prompts_needed(components, difference, repeats)
    trials = None if needed is None else 2 * needed * repeats
    cost = None
    if trials is not None and cost_per_trial_usd is not None:
        cost = trials * cost_per_trial_usd
    return DetectionOption(
        repeats=repeats,
        prompts=needed,
        trials=trials,
        cost_usd=cost,
        mde=None if prompts is None else stats.minimum_detectable(components, prompts, repeats),
        enough=None if prompts is None else needed is not None and needed <= prompts,
    )


def pilot_components(pilot: RunFrame) -> tuple[stats.VarianceComponents, str, list[str]]:
    """Return variance components of the most demanding pair of settings, their source, guesses.

    Raises:
        ConfigError: the pilot has no scores, or no two usable repeats of two prompts.

    """
    tables = [score_table(pilot, index) for index in range(len(pilot.setting_ids))]
    candidates: list[tuple[float, stats.VarianceComponents, str]] = []
    for a, b in combinations(range(len(tables)), 2):
        components = stats.variance_components(tables[a], tables[b], pilot.clusters)
        if components is not None:
            worst = components.variance(repeats=1)
            pair = f"{pilot.label(a)} against {pilot.label(b)}"
            candidates.append((worst, components, pair))
    if candidates:
        worst, components, names = max(candidates, key=lambda item: item[0])
        if len(candidates) > 1:
            names += " (of its pairs the one that needs most)"
        if worst == 0.0:
            return _upper_bound(components, names)
        return components, f"{names}, {plural(components.prompts or 0, 'prompt')}", []
    for index, table in enumerate(tables):
        single = stats.variance_components(table, table)
        if single is not None:
            within = single.within_a
            assumed = stats.VarianceComponents(
                omega2=stats.TYPICAL_COMPONENTS.omega2, within_a=within, within_b=within
            )
            source = f"{pilot.label(index)}; between-prompt variance from published runs"
            return assumed, source, ["omega2"]
    raise ConfigError(
        "the pilot run has no prompts with two scored repeats: its noise cannot be estimated",
        hint="run it with repeats=3 and a scorer, or leave out --from",
    )


def _upper_bound(
    pilot: stats.VarianceComponents, names: str
) -> tuple[stats.VarianceComponents, str, list[str]]:
    """Upper bounds of the components, for a pilot in which no score varied."""
    prompts = pilot.prompts or 0
    error = stats.bound_standard_error(0.0, prompts)
    components = stats.VarianceComponents(
        omega2=error**2 * prompts, within_a=0.0, within_b=0.0, prompts=prompts
    )
    source = f"{names}, {plural(prompts, 'prompt')}: no score varied, so this is an upper bound"
    return components, source, ["omega2"]


def score_table(frame: RunFrame, setting: int) -> Floats:
    """Return the primary score of every repeat of a setting: prompts × repeats, NaN unscored."""
    rows = frame.rows_of(setting)
    prompt = frame.prompt[rows]
    if not frame.scores or not prompt.size:
        return np.full((len(frame.prompt_ids), 1), np.nan)
    # Rows are sorted by prompt: a record's repeat is its distance to the first of its prompt.
    repeat = np.arange(prompt.size) - np.searchsorted(prompt, prompt)
    table = np.full((len(frame.prompt_ids), int(repeat.max()) + 1), np.nan)
    table[prompt, repeat] = next(iter(frame.scores.values()))[rows]
    return table


def _mean_cost(pilot: RunFrame) -> float | None:
    if pilot.cost_usd is None or not np.isfinite(pilot.cost_usd).any():
        return None
    return float(np.nanmean(pilot.cost_usd))


def _is_rough(components: stats.VarianceComponents, difference: float) -> bool:
    """Whether the chance at several repeats is only roughly that of the plan.

    Settings that hardly differ do not tell how the scores of prompts move when their mean does, and
    near 0 or 1 that decides (docs/statistics.md).
    """
    a, b = components.mean_a, components.mean_b
    if not components.pass_fail or a is None or b is None:
        return False
    return abs(a - b) < difference / 2 and min(b, 1.0 - b) < _NEAR_BOUND


def _plan_lines(
    difference: float,
    options: list[DetectionOption],
    prompts: int | None,
    source: str,
    *,
    rough: bool,
) -> list[str]:
    lines = [
        f"to see a difference of {100 * difference:g} pp in the mean score of two settings, with "
        f"{100 * POWER:.0f} % chance:"
    ]
    source_line = f"how much scores vary: from {source}"
    end = wrap(source_line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    possible = [option for option in options if option.trials is not None]
    if not possible:
        reason = "scores cannot differ by so much" if difference > 0.5 else "it is too small"
        return [*lines, f"  no number of prompts shows it: {reason}", *end]
    affordable = [option for option in possible if option.enough]
    best = min(affordable or possible, key=lambda option: (option.trials or 0, option.repeats))
    fewest = min(possible, key=lambda option: option.prompts or 0)
    lines.append(f"  {_option_text(best)}")
    if rough and best.repeats > 1:
        lines.append(
            "  only roughly: the pilot's settings hardly differ, near a score of 0 or 1; one "
            "repeat of more prompts is safer"
        )
    if not affordable and (fewest.prompts or 0) < (best.prompts or 0):
        lines.append(f"  or, with the fewest prompts, {_option_text(fewest)}")
    if prompts is not None and not affordable:
        last = options[-1]  # the one with the most repeats
        shown = "no difference" if last.mde is None else f"{100 * last.mde:.1f} pp at best"
        lines.append(
            f"  the {plural(prompts, 'prompt')} of this plan {'shows' if prompts == 1 else 'show'} "
            f"{shown}, with {plural(last.repeats, 'repeat')}"
        )
    return [*lines, *end]


def _option_text(option: DetectionOption) -> str:
    prompts, repeats = plural(option.prompts or 0, "prompt"), plural(option.repeats, "repeat")
    trials = option.trials or 0
    return f"{prompts} × {repeats} × 2 settings = {trials:,} trials{_cost_text(option)}"


def _cost_text(option: DetectionOption) -> str:
    cost = option.cost_usd
    if cost is None:
        return ", cost unknown"
    if cost == 0:
        return ", $0"
    return f", about ${cost:,.2f}" if cost >= 0.01 else f", about ${cost:.2g}"
