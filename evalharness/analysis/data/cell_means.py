"""A metric averaged over the usable repeats of each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Floats, Ints

if TYPE_CHECKING:
    from evalharness.analysis.data.frame import Frame


def average(frame: Frame, metric: str) -> tuple[Floats, Ints] | None:
    """The metric's mean in each cell, and of how many repeats; None when it has no value.

    Raises:
        KeyError: an unknown metric.
    """
    if metric in ("agreement", "agreement_answer"):
        answers = metric == "agreement_answer"
        counted = frame.answer_variants if answers else frame.output_variants
        return None if counted is None else (variants.pairwise(counted), counted.n)
    values = usable_values(frame, metric)
    if values is None:
        return None
    prompts = len(frame.prompt_ids)
    n, total = np.zeros(frame.shape[::-1], np.int64), np.zeros(frame.shape[::-1])
    for setting in range(len(n)):  # one after the other, since counting needs 24 bytes a record
        here = frame.rows_of(setting)
        known = ~np.isnan(values[here])
        prompt = frame.prompt[here][known]
        n[setting] = np.bincount(prompt, minlength=prompts)
        total[setting] = np.bincount(prompt, values[here][known], minlength=prompts)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan).ravel(), n.ravel()


def usable_values(frame: Frame, metric: str) -> Floats | None:
    """The usable records' values of an averaged metric; None when there are none.

    Raises:
        KeyError: an unknown metric.
    """
    if metric == "score":
        return next(iter(frame.scores.values()), None)
    if metric.startswith("score."):
        return frame.scores[metric.removeprefix("score.")]
    if metric == "cost_usd":
        return None if frame.cost_usd is None else np.where(frame.usable, frame.cost_usd, np.nan)
    if metric in ("latency_s", "ttft_s", "prompt_tokens", "completion_tokens"):
        return frame.usable_values(metric)
    raise KeyError(metric)
