"""What temperature 0 gave: divergences seen, or how rare they must be when none was."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.frame import Frame
from evalharness.analysis.data.json_values import interval


def repeatability(frame: Frame) -> list[dict[str, Any]]:
    """Judge every setting that asked for temperature 0 by whether any repeat differed.

    No divergence proves nothing about the next request, so the sentence bounds the rate: the share
    of prompts that diverge within as many repeats (one-sided 95 %; for a single prompt, the share
    of repeats).
    """
    counted = frame.output_variants
    prompts = len(frame.prompt_ids)
    distinct = np.bincount(counted.cell, minlength=frame.cells)
    found: list[dict[str, Any]] = []
    for index, setting_id in enumerate(frame.setting_ids):
        if frame.params(index).get("temperature") != 0:
            continue
        cells = slice(index * prompts, (index + 1) * prompts)
        compared = counted.n[cells] >= 2
        n, repeats = int(compared.sum()), int(counted.n[cells].max(initial=0))
        diverged = int((distinct[cells][compared] > 1).sum())
        found.append(_effect(setting_id, frame.label(index), n, repeats, diverged))
    return found


def _effect(setting_id: str, label: str, n: int, repeats: int, diverged: int) -> dict[str, Any]:
    bound = stats.divergence_bound(n if n > 1 else repeats) if n and not diverged else None
    evidence = {
        "setting_id": setting_id,
        "label": label,
        "prompts": n,
        "repeats": repeats,
        "diverged": diverged,
        "ci95": interval(stats.wilson(diverged, n)),
        "rate_below": bound,
    }
    if n == 0:
        verdict, text = "undetectable", "no prompt has two usable repeats"
    elif bound is not None:
        verdict = "no divergence seen"
        what = "of prompts" if n > 1 else "of repeats"
        text = (
            f"no divergence in {n} prompt{'s' if n > 1 else ''} × {repeats} repeats; rate below "
            f"{100 * bound:.1f} % {what} (95 % confidence)"
        )
    else:
        verdict = "diverges"
        text = f"{diverged} of {n} prompts gave more than one output in {repeats} repeats"
    return {
        "parameter": "temperature=0",
        "verdict": verdict,
        "evidence": evidence,
        "sentence": f"temperature 0 ({label}): {text}",
    }
