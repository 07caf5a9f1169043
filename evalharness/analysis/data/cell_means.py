"""A metric averaged over the usable repeats of each cell (a prompt under a setting)."""

from __future__ import annotations

import numpy as np

from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.exact_sums import sums_by_group
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.metrics import ERROR_SHARE, RATE_METRICS


def cell_means(frame: RunFrame, metric: str) -> Floats:
    """A metric of each prompt under each setting: the mean over its usable repeats.

    Computed once a frame; the array is read-only.

    Args:
        frame: the run.
        metric: one of :data:`~.metrics.ALL_METRICS`, or ``score.NAME`` for a scorer that is not the
            primary. The two agreements are the cell's pairwise agreement, ``error_share`` is over
            all of its trials.

    Returns:
        prompts × settings, NaN where the prompt has no usable repeat with a value (fewer than
        two usable repeats, for the agreements).

    Raises:
        KeyError: an unknown metric.

    """
    return _means_and_repeats(frame, metric)[0]


def cell_repeats(frame: RunFrame, metric: str) -> Ints:
    """How many usable repeats stand behind each value of :func:`cell_means`; same shape."""
    return _means_and_repeats(frame, metric)[1]


def _means_and_repeats(frame: RunFrame, metric: str) -> tuple[Floats, Ints]:
    cache = frame.cached_means
    if metric not in cache:
        by_cell = _average(frame, metric)
        means, counts = (np.full(frame.cells, np.nan), None) if by_cell is None else by_cell
        counts = np.zeros(frame.cells, np.int64) if counts is None else counts
        means.flags.writeable = counts.flags.writeable = False
        cache[metric] = frame.matrix(means), frame.matrix(counts)
    return cache[metric]


def _average(frame: RunFrame, metric: str) -> tuple[Floats, Ints] | None:
    """The metric's mean in each cell, and of how many repeats; None when it has no value."""
    if metric in ("agreement", "agreement_answer"):
        answers = metric == "agreement_answer"
        counts = frame.answer_variants if answers else frame.output_variants
        return None if counts is None else (variants.pairwise_agreement(counts), counts.n)
    if metric == ERROR_SHARE:
        trials = np.bincount(frame.cell, minlength=frame.cells)
        errors = np.bincount(frame.cell[~frame.usable], minlength=frame.cells)
        return np.where(trials > 0, errors / np.maximum(trials, 1), np.nan), trials
    if metric in ("goodput", "itl_s"):
        return frame.request_cells.get(metric)
    if metric in RATE_METRICS:
        return None  # of a load point as a whole: no prompt has a share of it
    values = _usable_values(frame, metric)
    if values is None:
        return None
    prompts = len(frame.prompt_ids)
    n, total = np.zeros(frame.shape[::-1], np.int64), np.zeros(frame.shape[::-1])
    for setting in range(len(n)):  # one after the other, since counting needs 24 bytes a record
        rows = frame.rows_of(setting)
        known = ~np.isnan(values[rows])
        prompt = frame.prompt[rows][known]
        n[setting] = np.bincount(prompt, minlength=prompts)
        total[setting] = sums_by_group(prompt, values[rows][known], prompts)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan).ravel(), n.ravel()


def _usable_values(frame: RunFrame, metric: str) -> Floats | None:
    """The usable records' values of an averaged metric; None when there are none."""
    if metric == "score":
        return next(iter(frame.scores.values()), None)
    if metric.startswith("score."):
        return frame.scores[metric.removeprefix("score.")]
    if metric == "cost_usd":
        return None if frame.cost_usd is None else np.where(frame.usable, frame.cost_usd, np.nan)
    if metric == "tpot_s":
        return np.where(frame.usable, tpot_s(frame), np.nan)
    if metric in ("latency_s", "ttft_s", "prompt_tokens", "completion_tokens"):
        return frame.usable_values(metric)
    raise KeyError(metric)


def tpot_s(frame: RunFrame) -> Floats:
    """Seconds per output token after the first, one entry a record; NaN where unknown.

    (last content − first token) / (tokens − 1), from two tokens on, of streams in more than one
    piece: as in the load section.
    """
    first, last = frame.values("ttft_s"), frame.values("last_content_s")
    tokens = frame.values("completion_tokens")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((tokens >= 2) & (last > first), (last - first) / (tokens - 1), np.nan)
