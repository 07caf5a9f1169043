"""Whether the provider honours each parameter: one verdict a parameter, with its evidence.

A gateway can drop a parameter silently. The effect of an honoured parameter on the outputs is known
and can be tested: equal seeds repeat themselves, a higher temperature and a wider ``top_p`` give
more different outputs, limits hold. Everything is paired by prompt, with all other parameters
equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.zero_temperature import zero_temperature_verdicts
from evalharness.analysis.comparison.comparison_text import p_text
from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Floats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, mean, number
from evalharness.analysis.parameters.echoed_values import echoed_values
from evalharness.analysis.parameters.limits_respected import limits_respected
from evalharness.analysis.parameters.pooled_outputs import (
    group_settings,
    known_outputs,
    parameter_key,
    pooled_draws,
    pooled_variants,
    undetectable,
)
from evalharness.analysis.parameters.same_seed_texts import compare_across_values
from evalharness.analysis.parameters.seeds import seed_effect
from evalharness.config.parameter_values import comparison_key

SMALL_EFFECT = 0.1  # share of the low end's effective outputs: a smaller increase is negligible
GREEDY = 0.1  # temperature or top_p: up to here an honoured value leaves hardly any choice
ENOUGH = 20  # prompts: with fewer, equal figures at both ends are no evidence


def effects(frame: RunFrame, *, seed: int = 0, bodies: Any = None) -> list[dict[str, Any]]:
    """Judge each parameter on which the run gives evidence.

    Args:
        frame: the run.
        seed: of permutations and resampling.
        bodies: a table with ``setting_id``, ``request_json``, ``response_json`` and
            ``choices_json`` (any of the last three) for what was sent and echoed; a sample is
            enough. None takes the frame's records.

    Returns:
        Dicts ``{"parameter", "verdict", "evidence", "sentence"}``, JSON-ready, one a parameter
        (``temperature=0`` has one a setting); ``evidence.rows`` holds the requested, sent and
        echoed values where bodies hold them. Verdicts are
        ``honoured``, ``partly honoured``, ``ignored``, ``reversed`` for what shapes the outputs;
        ``obeyed``, ``not obeyed`` for limits; ``no divergence seen``, ``diverges`` for repeats at
        temperature 0; ``as asked``, ``changed`` for values sent and echoed; and ``undetectable``
        wherever these data cannot tell, with the reason in the sentence.

    """
    candidates = [seed_effect(frame, seed=seed)]
    candidates += [spread_effect(frame, axis, seed=seed) for axis in ("temperature", "top_p")]
    verdicts = [effect for effect in candidates if effect is not None]
    verdicts += zero_temperature_verdicts(frame) + limits_respected(frame, bodies)
    return _with_values(verdicts, echoed_values(frame, bodies))


def _with_values(
    verdicts: list[dict[str, Any]], values: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Add requested, sent and echoed values to the verdict on the same parameter.

    A changed value is a fact: it overrides the verdict from the outputs.
    """
    by_name = {effect["parameter"]: effect for effect in verdicts}
    values_only: list[dict[str, Any]] = []
    for value in values:
        effect = by_name.get(value["parameter"])
        if effect is None:
            values_only.append(value)
            continue
        effect["evidence"] |= value["evidence"]
        if value["verdict"] == "changed":
            effect["evidence"]["from_outputs"] = effect["verdict"]
            effect["sentence"] = f"{value['sentence']}; from the outputs: {effect['sentence']}"
            effect["verdict"] = "changed"
    return verdicts + values_only


def spread_effect(frame: RunFrame, axis: str, *, seed: int = 0) -> dict[str, Any] | None:
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
    """
    ends = _ends(frame, axis)
    if not ends:
        return None
    low, high, low_maximum = _end_values(frame, ends)
    d = high - low
    n = int(np.isfinite(d).sum())
    if n == 0:
        return undetectable(axis, "it takes at least two usable repeats at both ends")
    joined = np.isfinite(d)
    ci = stats.mean_ci(d, clusters=frame.clusters, scale="real", seed=seed)
    p = number(stats.sign_flip(d, clusters=frame.clusters, seed=seed)[0])
    values = [sorted({float(frame.params(end[i][0])[axis]) for end in ends}) for i in (0, 1)]
    evidence: dict[str, Any] = {
        "low": values[0],
        "high": values[1],
        "effective_outputs_low": mean(low[joined]),
        "effective_outputs_high": mean(high[joined]),
        "effective_outputs_low_at_most": mean(low_maximum[joined]),
        "difference": mean(d),
        "ci95": interval(ci),
        "p": p,
        "n": n,
        "fixed_seed": all(_fixed_seed(frame, end[1]) for end in ends),
    }
    verdict, why = _spread_verdict(evidence)
    if verdict in ("ignored", "undetectable"):
        evidence["same_seed"] = compare_across_values(frame, ends, seed=seed)
        verdict, why = _with_seeds(evidence, verdict, why)
    low_text, high_text = (_join_values(end) for end in values)
    sentence = (
        f"{axis} {verdict}: {evidence['effective_outputs_low']:.2f} effective outputs at "
        f"{low_text}, {evidence['effective_outputs_high']:.2f} at {high_text} "
        f"({p_text(p)}, n={n}){why}"
    )
    return {"parameter": axis, "verdict": verdict, "evidence": evidence, "sentence": sentence}


def _spread_verdict(evidence: dict[str, Any]) -> tuple[str, str]:
    ci, p, gain = evidence["ci95"], evidence["p"], evidence["difference"]
    if p is not None and p < 0.05:
        return ("honoured", "") if gain > 0 else ("reversed", "; fewer at the high end")
    if evidence["effective_outputs_high"] <= 1.0 + 1e-9:
        return "undetectable", "; the outputs never differed, even at the high end"
    low, maximum = evidence["effective_outputs_low"], evidence["effective_outputs_low_at_most"]
    # At a nearly greedy low end, full variety is itself evidence, not a ceiling.
    if max(evidence["low"]) > GREEDY and maximum - low < SMALL_EFFECT * low:
        return "undetectable", "; nearly every output differs at the low end: no room for more"
    if evidence["fixed_seed"]:
        return "undetectable", "; one fixed seed can hold repeats together at any value"
    if ci is None:  # every prompt shows the same difference, here none
        return ("ignored", "") if evidence["n"] >= ENOUGH else ("undetectable", "; too few prompts")
    if ci[1] < SMALL_EFFECT * evidence["effective_outputs_low"]:
        return "ignored", ""
    return "undetectable", "; too few prompts or repeats to tell"


def _with_seeds(evidence: dict[str, Any], verdict: str, why: str) -> tuple[str, str]:
    """The verdict from the texts of one seed, where the number of different outputs gives none."""
    same = evidence["same_seed"]
    if same is None or same["within"] == 0.0:
        return verdict, why
    text = (
        f"{why}; with one seed the text is the same {100 * same['across']:.1f} % of the time "
        f"between the values, {100 * same['within']:.1f} % at one value"
    )
    if same["p"] is not None and same["p"] < 0.05 and same["difference"] > 0:
        return "honoured", f"{text} ({p_text(same['p'])})"
    # One seed that always gives one text is decisive only where other seeds give other texts.
    follows = same["within"] == same["across"] == 1.0
    if follows and evidence["effective_outputs_high"] > 1.0 + SMALL_EFFECT:
        return ("ignored", text) if same["n"] >= ENOUGH else (verdict, f"{text}; too few prompts")
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
