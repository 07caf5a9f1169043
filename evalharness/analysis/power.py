"""How many prompts and repeats, and dollars, it takes to see a difference in score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.encode import Floats
from evalharness.analysis.frame import Frame
from evalharness.errors import ConfigError

REPEATS = (1, 2, 3, 5, 10)


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
            hint="write it as --detect 2pp",
        )
    return value


def plan_detection(
    difference: float,
    *,
    pilot: Frame | None = None,
    cost_per_trial_usd: float | None = None,
    prompts: int | None = None,
    repeats: Sequence[int] = REPEATS,
    level: float = 0.95,
    power: float = 0.8,
) -> dict[str, Any]:
    """Work out what it takes to see a difference in mean score between two settings.

    Args:
        difference: in 0..1 (0.02 is two percentage points).
        pilot: a scored run with at least two repeats; its pair of settings that needs the most
            prompts is taken. With one setting only, the between-prompt variance of the
            difference is assumed. None assumes all components from published runs.
        cost_per_trial_usd: mean cost of a trial; None takes the pilot's, if it is known.
        prompts: how many prompts there are; None takes the pilot's number.
        repeats: which K to tabulate.
        level: of the test.
        power: the chance of finding the difference if it is there.

    Returns:
        ``components`` (variances, 0..1 scale) with ``source`` in words and ``assumed`` names;
        ``options``: for each K the ``prompts`` needed, ``trials`` for both settings together,
        ``cost_usd`` (None unknown), ``mde`` with the prompts there are (None unknown) and
        ``enough`` (whether these do); ``sentence``.

    """
    components, source, assumed = stats.TYPICAL, "published runs at T=0 against T=1", ["all"]
    if pilot is not None:
        components, source, assumed = pilot_components(pilot)
        cost_per_trial_usd = cost_per_trial_usd or _mean_cost(pilot)
        prompts = prompts or len(pilot.prompt_ids)
    options: list[dict[str, Any]] = []
    for k in repeats:
        needed = stats.prompts_needed(components, difference, k, level=level, power=power)
        trials = 2 * needed * k
        mde = None
        if prompts is not None:
            mde = stats.minimum_detectable(components, prompts, k, level=level, power=power)
        options.append(
            {
                "repeats": k,
                "prompts": needed,
                "trials": trials,
                "cost_usd": None if cost_per_trial_usd is None else trials * cost_per_trial_usd,
                "mde": mde,
                "enough": None if prompts is None else needed <= prompts,
            }
        )
    return {
        "difference": difference,
        "level": level,
        "power": power,
        "components": {
            "omega2": components.omega2,
            "within_a": components.within_a,
            "within_b": components.within_b,
        },
        "source": source,
        "assumed": assumed,
        "options": options,
        "sentence": _sentence(difference, power, options, prompts, source),
    }


def pilot_components(pilot: Frame) -> tuple[stats.Components, str, list[str]]:
    """Return variance components of the most demanding pair of settings, their source, guesses.

    Raises:
        ConfigError: the pilot has no scores, or no two usable repeats of two prompts.

    """
    tables = [score_table(pilot, index) for index in range(len(pilot.setting_ids))]
    found: list[tuple[float, stats.Components, str]] = []
    for a, b in combinations(range(len(tables)), 2):
        components = stats.variance_components(tables[a], tables[b])
        if components is not None:
            worst = stats.minimum_detectable(components, 100, 1)
            found.append((worst, components, f"{pilot.label(a)} against {pilot.label(b)}"))
    if found:
        worst, components, names = max(found, key=lambda item: item[0])
        if worst == 0.0:
            return _bounded(components, names)
        return components, f"pilot, {names}, {components.prompts} prompts", []
    for index, table in enumerate(tables):
        single = stats.variance_components(table, table)
        if single is not None:
            within = single.within_a
            assumed = stats.Components(
                omega2=stats.TYPICAL.omega2, within_a=within, within_b=within
            )
            source = f"pilot, {pilot.label(index)}; between-prompt variance from published runs"
            return assumed, source, ["omega2"]
    raise ConfigError(
        "the pilot run has no prompts with two scored repeats: its noise cannot be estimated",
        hint="run it with repeats=3 and a scorer, or leave out --from",
    )


def _bounded(seen: stats.Components, names: str) -> tuple[stats.Components, str, list[str]]:
    """A pilot in which nothing varied is no proof that nothing varies: bound what it missed."""
    prompts = seen.prompts or 0
    error = stats.greatest_error(np.zeros(prompts))
    assert error is not None
    components = stats.Components(
        omega2=error**2 * prompts, within_a=0.0, within_b=0.0, prompts=prompts
    )
    source = f"pilot, {names}, {prompts} prompts: no score varied, so this is an upper bound"
    return components, source, ["omega2"]


def score_table(frame: Frame, setting: int) -> Floats:
    """Return the primary score of every repeat of a setting: prompts × repeats, NaN unscored."""
    rows = frame.rows_of(setting)
    prompt = frame.prompt[rows]
    if not frame.scores or not prompt.size:
        return np.full((len(frame.prompt_ids), 1), np.nan)
    # Rows are sorted by prompt: a record's place among its prompt's is its distance to the first.
    place = np.arange(prompt.size) - np.searchsorted(prompt, prompt)
    table = np.full((len(frame.prompt_ids), int(place.max()) + 1), np.nan)
    table[prompt, place] = next(iter(frame.scores.values()))[rows]
    return table


def _mean_cost(pilot: Frame) -> float | None:
    if pilot.cost_usd is None or not np.isfinite(pilot.cost_usd).any():
        return None
    return float(np.nanmean(pilot.cost_usd))


def _sentence(
    difference: float,
    power: float,
    options: list[dict[str, Any]],
    prompts: int | None,
    source: str,
) -> str:
    points = f"{100 * difference:g} pp"
    affordable = [option for option in options if option["enough"]]
    best = min(affordable or options, key=lambda option: (option["trials"], option["repeats"]))
    need = (
        f"To see {points} with {100 * power:.0f} % chance: {best['prompts']:,} prompts × "
        f"{best['repeats']} repeat{'s' if best['repeats'] > 1 else ''} × 2 settings = "
        f"{best['trials']} trials{_cost(best)} (from {source})"
    )
    if prompts is None or affordable:
        return need
    most = options[-1]
    fewest = min(options, key=lambda option: option["prompts"])
    text = (
        f"{prompts:,} prompts cannot show {points} at up to K={most['repeats']} (they show "
        f"{100 * most['mde']:.1f} pp). {need}"
    )
    if fewest["prompts"] < best["prompts"]:
        text += (
            f". With {fewest['repeats']} repeats {fewest['prompts']:,} prompts would do: "
            f"{fewest['trials']} trials{_cost(fewest)}"
        )
    return text


def _cost(option: dict[str, Any]) -> str:
    cost = option["cost_usd"]
    if cost is None:
        return ", cost unknown"
    if cost == 0:
        return ", $0"
    return f", about ${cost:,.2f}" if cost >= 0.01 else f", about ${cost:.2g}"
