"""Divergence at temperature 0: how often it was seen, or an upper bound of its rate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import share_interval
from evalharness.analysis.parameters.effect import EffectEvidence, ParameterEffect
from evalharness.analysis.parameters.effective_prompts import effective_prompts


def zero_temperature_verdicts(frame: RunFrame) -> list[ParameterEffect]:
    """Judge each setting with temperature 0 by whether any repeat differed.

    No divergence does not prove that the next request agrees, so the sentence gives an upper bound
    (one-sided 95 %) of the share of prompts that diverge within as many repeats; for a single
    prompt, of the share of repeats.
    """
    variants = frame.output_variants
    prompts = len(frame.prompt_ids)
    distinct = np.bincount(variants.cell, minlength=frame.cells)
    verdicts: list[ParameterEffect] = []
    for index, setting_id in enumerate(frame.setting_ids):
        if frame.params(index).get("temperature") != 0:
            continue
        cells = slice(index * prompts, (index + 1) * prompts)
        compared = variants.n[cells] >= 2
        n, repeats = int(compared.sum()), int(variants.n[cells].max(initial=0))
        diverged = int((distinct[cells][compared] > 1).sum())
        values = np.where(compared, distinct[cells] > 1, np.nan).astype(np.float64)
        units, ends = effective_prompts(frame, compared), share_interval(values, frame.clusters)
        shares = _Divergence(n, repeats, diverged, units, ends)
        verdicts.append(_verdict(setting_id, frame.label(index), shares))
    return verdicts


class _Divergence(NamedTuple):
    """Prompts with repeats at temperature 0, and how many of them gave more than one output.

    ``units`` is how many independent prompts (clusters) they are worth.
    """

    prompts: int
    repeats: int
    diverged: int
    units: float
    ci95: list[float] | None


def _verdict(setting_id: str, label: str, divergence: _Divergence) -> ParameterEffect:
    n, repeats, diverged = divergence.prompts, divergence.repeats, divergence.diverged
    bound = None
    if n and not diverged:
        bound = stats.divergence_bound(divergence.units if n > 1 else repeats)
    evidence = EffectEvidence(
        setting_id=setting_id,
        label=label,
        prompts=n,
        repeats=repeats,
        diverged=diverged,
        ci95=divergence.ci95,
        rate_below=bound,
    )
    if n == 0:
        verdict, text = "undetectable", "no prompt has two usable repeats"
    elif bound is not None:
        verdict = "no divergence seen"
        unit = "of prompts" if n > 1 else "of repeats"
        text = (
            f"no divergence in {n} prompt{'s' if n > 1 else ''} × {repeats} repeats; rate below "
            f"{100 * bound:.1f} % {unit} (95 % confidence)"
        )
    else:
        verdict = "diverges"
        text = f"{diverged} of {n} prompts gave more than one output in {repeats} repeats"
    return ParameterEffect(
        parameter="temperature=0",
        verdict=verdict,
        evidence=evidence,
        sentence=f"temperature 0 ({label}): {text}",
    )
