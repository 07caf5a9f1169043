"""Whether the provider honours each parameter: one verdict a parameter, with its evidence.

A gateway can drop a parameter silently. The effect of an honoured parameter on the outputs is known
and can be tested: equal seeds repeat themselves, a higher temperature and a wider ``top_p`` give
more different outputs, limits hold. Everything is paired by prompt, with all other parameters
equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison_text import p_text
from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.parameters.echoed_values import echoed_values
from evalharness.analysis.parameters.effect import (
    EffectEvidence,
    ParameterEffect,
    SameSeedTexts,
    undetectable,
)
from evalharness.analysis.parameters.effective_prompts import effective_prompts
from evalharness.analysis.parameters.limits_respected import limits_respected
from evalharness.analysis.parameters.pooled_outputs import (
    group_settings,
    known_outputs,
    parameter_key,
    pooled_draws,
    pooled_variants,
)
from evalharness.analysis.parameters.same_seed_texts import compare_across_values
from evalharness.analysis.parameters.seeds import seed_effect, seed_not_offered
from evalharness.analysis.parameters.zero_temperature import zero_temperature_verdicts
from evalharness.config.parameter_values import comparison_key

SMALL_EFFECT = 0.1  # share of the low end's effective outputs: a smaller increase is negligible
GREEDY = 0.1  # temperature or top_p: up to here an honoured value leaves hardly any choice
SECOND_TEST = 0.01  # p: below .05, because the number of outputs was tested first
ENOUGH = 20  # prompts (effective clusters): with fewer, equal figures at both ends are no evidence


def effects(
    frame: RunFrame,
    *,
    seed: int = 0,
    bodies: Any = None,
    without_seed: Mapping[str, str] = MappingProxyType({}),
) -> list[ParameterEffect]:
    """Judge each parameter on which the run gives evidence.

    Args:
        frame: the run.
        seed: of sign patterns and shuffles.
        bodies: a table with ``setting_id``, ``request_json``, ``response_json`` and
            ``choices_json`` (any of the last three) for what was sent and echoed; a sample is
            enough. None where none were kept.
        without_seed: providers whose API has no seed, each with what its API is called.

    Returns:
        One verdict a parameter (``temperature=0`` has one a setting).

    """
    candidates = [seed_not_offered(frame, without_seed) or seed_effect(frame, seed=seed)]
    candidates += [spread_effect(frame, axis, seed=seed) for axis in ("temperature", "top_p")]
    verdicts = [effect for effect in candidates if effect is not None]
    verdicts += zero_temperature_verdicts(frame) + limits_respected(frame, bodies)
    return _with_values(verdicts, echoed_values(frame, bodies))


def _with_values(
    verdicts: list[ParameterEffect], values: list[ParameterEffect]
) -> list[ParameterEffect]:
    """Add requested, sent and echoed values to the verdict on the same parameter."""
    by_name = {value.parameter: value for value in values}
    names = {effect.parameter for effect in verdicts}
    combined = [
        _with_value(effect, by_name[effect.parameter]) if effect.parameter in by_name else effect
        for effect in verdicts
    ]
    return combined + [value for value in values if value.parameter not in names]


def _with_value(effect: ParameterEffect, value: ParameterEffect) -> ParameterEffect:
    """One verdict of two; a changed value is a fact: it overrides the verdict from the outputs."""
    evidence = msgspec.structs.replace(effect.evidence, rows=value.evidence.rows)
    if value.verdict != "changed":
        return msgspec.structs.replace(effect, evidence=evidence)
    return ParameterEffect(
        parameter=effect.parameter,
        verdict="changed",
        evidence=msgspec.structs.replace(evidence, from_outputs=effect.verdict),
        sentence=f"{value.sentence}; from the outputs: {effect.sentence}",
    )


class _Spread(NamedTuple):
    """Effective outputs at both ends of an axis; see :class:`.EffectEvidence`."""

    low_values: list[float]
    high_values: list[float]
    low: float
    high: float
    low_at_most: float
    gain: float
    ci: list[float] | None
    p: float | None
    n: int
    units: float
    fixed_seed: bool


def spread_effect(
    frame: RunFrame, axis: str, *, seed: int = 0, draws: int = stats.DRAWS
) -> ParameterEffect | None:
    """Judge whether the high end of an axis gives more different outputs than the low end.

    Per prompt: effective outputs (``exp`` of the entropy) at the highest value minus those at the
    lowest, everything else equal; outputs under several seeds are pooled, since one honoured seed
    hides the effect of temperature. As many outputs of a prompt are taken at either end as both
    have (the figure is biased by that number); prompts with fewer than two are left out. None when
    the axis was not swept over numbers.

    Where all draws differ at the low end already (and that is not nearly greedy itself), the figure
    cannot grow and is no evidence. Where it shows no increase, the texts of one seed are compared
    between the values (:func:`.compare_across_values`): a difference shows that the parameter is
    honoured, and equal texts of a seed that matters that it is ignored.

    Args:
        frame: the run.
        axis: ``temperature`` or ``top_p``.
        seed: of sign flips.
        draws: how many sign patterns.

    """
    ends = _ends(frame, axis)
    if not ends:
        return None
    spread = _spread(frame, axis, ends, seed, draws)
    if spread is None:
        return undetectable(axis, "it takes at least two usable repeats at both ends")
    verdict, why = _spread_verdict(spread)
    same: SameSeedTexts | UnsetType | None = UNSET
    if verdict in ("ignored", "undetectable"):
        same = compare_across_values(frame, ends, seed=seed, draws=draws)
        verdict, why = _with_seeds(spread, same, verdict, why)
    sentence = (
        f"{axis} {verdict}: {spread.low:.2f} effective outputs at "
        f"{_join_values(spread.low_values)}, {spread.high:.2f} at "
        f"{_join_values(spread.high_values)} ({p_text(spread.p)}, n={spread.n}){why}"
    )
    evidence = EffectEvidence(
        low=spread.low_values,
        high=spread.high_values,
        effective_outputs_low=spread.low,
        effective_outputs_high=spread.high,
        effective_outputs_low_at_most=spread.low_at_most,
        difference=spread.gain,
        ci95=spread.ci,
        p=spread.p,
        n=spread.n,
        fixed_seed=spread.fixed_seed,
        same_seed=same,
    )
    return ParameterEffect(parameter=axis, verdict=verdict, evidence=evidence, sentence=sentence)


def _spread(
    frame: RunFrame, axis: str, ends: list[tuple[list[int], list[int]]], seed: int, draws: int
) -> _Spread | None:
    """Effective outputs at the two ends; None where no prompt has two repeats at both."""
    low, high, low_maximum = _end_values(frame, ends)
    d = high - low
    joined = np.isfinite(d)
    if not joined.any():
        return None
    test = stats.difference_test(d, clusters=frame.clusters, bounded=False, seed=seed, draws=draws)
    p, ci = number(test.p[0]), interval(test.interval(0))
    values = [sorted({float(frame.params(end[i][0])[axis]) for end in ends}) for i in (0, 1)]
    return _Spread(
        low_values=values[0],
        high_values=values[1],
        low=float(low[joined].mean()),
        high=float(high[joined].mean()),
        low_at_most=float(low_maximum[joined].mean()),
        gain=float(d[joined].mean()),
        ci=ci,
        p=p,
        n=int(joined.sum()),
        units=effective_prompts(frame, joined),
        fixed_seed=all(_fixed_seed(frame, end[1]) for end in ends),
    )


def _spread_verdict(spread: _Spread) -> tuple[str, str]:
    if spread.p is not None and spread.p < 0.05:
        return ("honoured", "") if spread.gain > 0 else ("reversed", "; fewer at the high end")
    if spread.high <= 1.0 + 1e-9:
        return "undetectable", "; the outputs never differed, even at the high end"
    room = spread.low_at_most - spread.low
    # At a nearly greedy low end, full variety is itself evidence, not a ceiling.
    if max(spread.low_values) > GREEDY and room < SMALL_EFFECT * spread.low:
        return "undetectable", "; nearly every output differs at the low end: no room for more"
    if spread.fixed_seed:
        return "undetectable", "; one fixed seed can hold repeats together at any value"
    if spread.ci is None:  # too few prompts, or all show the same difference: here none
        enough = spread.units >= ENOUGH
        return ("ignored", "") if enough else ("undetectable", "; too few prompts")
    if spread.ci[1] < SMALL_EFFECT * spread.low:
        return "ignored", ""
    return "undetectable", "; too few prompts or repeats to tell"


def _with_seeds(
    spread: _Spread, same: SameSeedTexts | None, verdict: str, why: str
) -> tuple[str, str]:
    """The verdict from the texts of one seed, where the number of different outputs gives none."""
    if same is None or same.within == 0.0:
        return verdict, why
    text = (
        f"{why}; with one seed the text is the same {100 * same.across:.1f} % of the time "
        f"between the values, {100 * same.within:.1f} % at one value"
    )
    if same.p is not None and same.p < 0.05 and same.difference > 0:
        text = f"{text} ({p_text(same.p)})"
        # Where one seed always gives one text at one value, chance makes no difference.
        if same.p < SECOND_TEST or same.within == 1.0:
            return "honoured", text
        return "undetectable", f"{text}; a second test decides below {SECOND_TEST:g} only"
    # One seed that always gives one text is decisive only where other seeds give other texts.
    follows = same.within == same.across == 1.0
    if follows and spread.high > 1.0 + SMALL_EFFECT:
        if min(same.n, spread.units) >= ENOUGH:
            return "ignored", text
        return verdict, f"{text}; too few prompts"
    return verdict, why


def _ends(frame: RunFrame, axis: str) -> list[tuple[list[int], list[int]]]:
    """Settings at the two ends of an axis, everything else but the seed equal."""
    ends: list[tuple[list[int], list[int]]] = []
    for group in group_settings(frame, ignore=(axis, "seed"), without_zero=axis != "temperature"):
        values: dict[float, list[int]] = {}
        for setting in group:
            value = frame.params(setting).get(axis)
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(float(value), []).append(setting)
        if len(values) > 1:
            ends.append((values[min(values)], values[max(values)]))
    return ends


def _end_values(
    frame: RunFrame, ends: list[tuple[list[int], list[int]]]
) -> tuple[Floats, Floats, Floats]:
    """Effective outputs of each prompt at the two ends, averaged over groups.

    The third is the low end's if all its draws had given different texts.
    """
    totals = [np.zeros(len(frame.prompt_ids)) for _ in range(3)]
    used = np.zeros(len(frame.prompt_ids))
    for low, high in ends:
        limit = np.minimum(known_outputs(frame, low), known_outputs(frame, high))
        counted = (
            pooled_variants(frame, low, limit),
            pooled_variants(frame, high, limit),
            pooled_draws(frame, low, limit),
        )
        comparable = limit >= 2
        for total, counts in zip(totals, counted, strict=True):
            total += np.where(comparable, variants.effective_outputs(counts), 0.0)
        used += comparable
    with np.errstate(invalid="ignore"):
        return totals[0] / used, totals[1] / used, totals[2] / used


def _fixed_seed(frame: RunFrame, settings: list[int]) -> bool:
    seeds = {parameter_key(frame, setting, "seed") for setting in settings}
    return len(seeds) == 1 and comparison_key(None) not in seeds


def _join_values(values: list[float]) -> str:
    return " and ".join(f"{value:g}" for value in values)
