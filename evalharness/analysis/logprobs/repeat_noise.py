"""The noise of a server that log probabilities show: two outputs of one setting."""

from __future__ import annotations

from itertools import combinations

import msgspec
import numpy as np

from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.logprobs.figures import LogprobFigures, PromptDistance, logprob_figures
from evalharness.analysis.logprobs.pair_distance import pair_distance
from evalharness.analysis.logprobs.token_output import TokenOutput, has_logprobs, read_outputs

#: Prompts of a report that are read, shared by its settings, and the least of one.
MAX_PROMPTS, LEAST_PROMPTS = 1_000, 50
_MAX_REPEATS = 8  # of a prompt, the first ones


class RepeatNoise(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log probabilities of repeats are apart, of one setting.

    Attributes:
        setting_id, label: of the setting.
        figures: of every two of the first eight repeats, over a sample of prompts where there are
            many.
        top1_std: ``Avg_Std@top1_prob`` (Yuan et al., arXiv 2506.09501): sample standard deviation
            of the probability of the likeliest token over the repeats, mean over the places before
            and at which the first two of them part, then over prompts; where no candidates are
            listed, of the chosen token, without the place of parting. In [0, 1].
        top1_std_ci95: its interval over prompts, or clusters.
        top1_places: places that it is of.
    """

    setting_id: str
    label: str
    figures: LogprobFigures
    top1_std: float | None
    top1_std_ci95: list[float] | None
    top1_places: int


def repeat_noise(frame: RunFrame) -> list[RepeatNoise]:
    """Describe each setting with log probabilities of two repeats of any prompt."""
    if not has_logprobs(frame):
        return []
    limit = max(LEAST_PROMPTS, MAX_PROMPTS // max(1, len(frame.setting_ids)))
    described = (_describe(frame, index, limit) for index in range(len(frame.setting_ids)))
    return [each for each in described if each is not None]


def _describe(frame: RunFrame, setting: int, limit: int) -> RepeatNoise | None:
    part = frame.rows_of(setting)
    rows = part.start + np.flatnonzero(frame.known[part])
    rows = rows[np.argsort(frame.prompt[rows], kind="stable")]
    total = len(frame.prompt_ids)
    enough = np.flatnonzero(np.bincount(frame.prompt[rows], minlength=total) >= 2)
    if enough.size > limit:
        enough = np.sort(np.random.default_rng(0).choice(enough, limit, replace=False))
    prompts: list[PromptDistance] = []
    spread, places = np.full(total, np.nan), 0
    for prompt, outputs in _outputs(frame, rows, enough):
        pairs = [pair_distance(a, b) for a, b in combinations(outputs, 2)]
        prompts.append(PromptDistance(prompt, pairs))
        deviations = _top1_deviations(outputs, min(pair.prefix for pair in pairs))
        if deviations.size:
            spread[prompt] = float(deviations.mean())
            places += deviations.size
    if not prompts:
        return None
    return RepeatNoise(
        setting_id=frame.setting_ids[setting],
        label=frame.label(setting),
        figures=logprob_figures(prompts, total, frame.clusters),
        top1_std=json_values.mean(spread),
        top1_std_ci95=json_values.amount_interval(spread, frame.clusters),
        top1_places=places,
    )


def _outputs(frame: RunFrame, rows: Ints, prompts: Ints) -> list[tuple[int, list[TokenOutput]]]:
    """The outputs with log probabilities of prompts with two or more."""
    out: list[tuple[int, list[TokenOutput]]] = []
    starts = np.searchsorted(frame.prompt[rows], [prompts, prompts + 1])
    for prompt, start, end in zip(prompts.tolist(), *starts.tolist(), strict=True):
        read = read_outputs(frame, rows[start : min(end, start + _MAX_REPEATS)])
        outputs = [output for output in read if output is not None]
        if len(outputs) >= 2:
            out.append((prompt, outputs))
    return out


def _top1_deviations(outputs: list[TokenOutput], prefix: int) -> Floats:
    """The standard deviation of the likeliest token's probability, at each place that compares."""
    shortest = min(len(output.tokens) for output in outputs)
    listed = all(output.top[place] for output in outputs for place in range(shortest))
    places = min(prefix + 1, shortest) if listed else prefix
    table = np.array([[_top1(output, place) for place in range(places)] for output in outputs])
    deviations: Floats = table.std(axis=0, ddof=1)
    return deviations[~np.isnan(deviations)]


def _top1(output: TokenOutput, place: int) -> float:
    listed = output.top[place]
    return float(np.exp(max(listed.values()) if listed else output.logprobs[place]))
