"""How soon repeats part, in the figures that the literature on nondeterminism reports.

Sources: the number of distinct completions and the place of the first difference, He et al.,
"Defeating Nondeterminism in LLM Inference", 2025; ``Std@Acc``, ``Div_Index``,
``Avg_Std@Output_Length`` and ``Avg_Std@top1_prob``, Yuan et al., arXiv 2506.09501, section 3. There
responses come from different configurations of a server, here from repeats of one setting, which
stand in as such: the k-th repeat of every prompt is one run.
"""

from __future__ import annotations

from itertools import combinations

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.divergence import common_prefix, token_prefixes
from evalharness.analysis.agreement.prefix_length import (
    PrefixLength,
    common_words,
    prefix_lengths,
    shortest_by_prompt,
)
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text

#: Prompts whose texts are compared in a report, shared by its settings, and the least of one.
MAX_PROMPTS, LEAST_PROMPTS = 2_000, 50
_MAX_OUTPUTS = 8  # different ones of a prompt that are compared, the first ones


class RepeatDivergence(msgspec.Struct, frozen=True, kw_only=True):
    """How soon the repeats of a setting part. Null where it is not known, or nothing parts.

    Attributes:
        setting_id, label: of the setting.
        n: the largest number of usable repeats of a prompt.
        prompts: prompts with at least two.
        unique: different outputs of a prompt, mean over prompts.
        unique_ci95: its interval over prompts, or clusters.
        parted: prompts whose repeats are not all equal.
        compared: of these, how many were read; more than 2,000 in a report are sampled.
        words: where the outputs of a prompt part at the earliest, in words in common.
        chars: the same in characters.
        tokens: the same in tokens, of outputs with log probabilities.
        div_index: ``Div_Index``: mean over prompts of the tokens in common at the earliest parting.
        div_index_ci95: its interval.
        std_acc: ``Std@Acc``: sample standard deviation of the mean primary score of the runs.
        std_acc_ci95: its interval for these prompts: chi-square, as of normal means.
        acc_runs: runs that it is of.
        acc_prompts: prompts that were scored in every run.
        std_tokens: ``Avg_Std@Output_Length``: sample standard deviation of the completion tokens of
            a prompt's repeats, mean over prompts.
        std_tokens_ci95: its interval.
    """

    setting_id: str
    label: str
    n: int
    prompts: int
    unique: float | None
    unique_ci95: list[float] | None
    parted: int
    compared: int
    words: PrefixLength | None
    chars: PrefixLength | None
    tokens: PrefixLength | None
    div_index: float | None
    div_index_ci95: list[float] | None
    std_acc: float | None
    std_acc_ci95: list[float] | None
    acc_runs: int
    acc_prompts: int
    std_tokens: float | None
    std_tokens_ci95: list[float] | None


def repeat_divergence(frame: RunFrame) -> list[RepeatDivergence]:
    """Describe each setting that has two usable repeats of any prompt."""
    limit = max(LEAST_PROMPTS, MAX_PROMPTS // max(1, len(frame.setting_ids)))
    described = (_describe(frame, index, limit) for index in range(len(frame.setting_ids)))
    return [each for each in described if each is not None]


def _describe(frame: RunFrame, setting: int, limit: int) -> RepeatDivergence | None:
    part = frame.rows_of(setting)
    rows = part.start + np.flatnonzero(frame.known[part])
    total = len(frame.prompt_ids)
    repeats = np.bincount(frame.prompt[rows], minlength=total)
    if not (repeats >= 2).any():
        return None
    first = _first_of_each_output(frame, rows)
    distinct = np.bincount(frame.prompt[first], minlength=total)
    unique = np.where(repeats >= 2, distinct, np.nan)
    parted = np.flatnonzero((repeats >= 2) & (distinct >= 2))
    chosen = parted
    if parted.size > limit:
        chosen = np.sort(np.random.default_rng(0).choice(parted, limit, replace=False))
    words, chars, tokens, div_index = _partings(frame, first, chosen)
    std_acc, acc_ci95, runs, scored = _accuracy_spread(frame, part)
    spread = _token_spread(frame, rows, total)
    return RepeatDivergence(
        setting_id=frame.setting_ids[setting],
        label=frame.label(setting),
        n=int(repeats.max()),
        prompts=int((repeats >= 2).sum()),
        unique=json_values.mean(unique),
        unique_ci95=json_values.amount_interval(unique, frame.clusters),
        parted=len(parted),
        compared=len(chosen),
        words=words,
        chars=chars,
        tokens=tokens,
        div_index=None if div_index is None else json_values.mean(div_index),
        div_index_ci95=None
        if div_index is None
        else json_values.amount_interval(div_index, frame.clusters),
        std_acc=std_acc,
        std_acc_ci95=acc_ci95,
        acc_runs=runs,
        acc_prompts=scored,
        std_tokens=json_values.mean(spread),
        std_tokens_ci95=json_values.amount_interval(spread, frame.clusters),
    )


def _first_of_each_output(frame: RunFrame, rows: Ints) -> Ints:
    """The first of the rows with each different output of a prompt, by prompt."""
    order = rows[np.lexsort((rows, frame.output[rows], frame.prompt[rows]))]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (np.diff(frame.prompt[order]) != 0) | (np.diff(frame.output[order]) != 0)
    return order[is_new]


def _partings(
    frame: RunFrame, first: Ints, prompts: Ints
) -> tuple[PrefixLength | None, PrefixLength | None, PrefixLength | None, Floats | None]:
    """Where the outputs of some prompts part: in words, characters, tokens; and of each prompt."""
    if not prompts.size:
        return None, None, None, None
    starts = np.searchsorted(frame.prompt[first], [prompts, prompts + 1])
    groups = [first[a : min(a + _MAX_OUTPUTS, b)] for a, b in starts.T.tolist()]
    rows = np.concatenate(groups)
    texts = joined_text(frame, rows)
    pairs: list[tuple[int, int]] = []
    start = 0
    for group in groups:
        pairs += combinations(range(start, start + len(group)), 2)
        start += len(group)
    numbers = frame.prompt[rows[[left for left, _ in pairs]]]
    words = np.array([common_words(texts[a], texts[b]) for a, b in pairs], np.int64)
    chars = np.array([common_prefix(texts[a], texts[b]) for a, b in pairs], np.int64)
    known, tokens = token_prefixes(frame, rows, pairs)
    in_tokens = div_index = None
    if known:
        in_tokens = prefix_lengths(tokens, numbers[known])
        div_index = np.full(len(frame.prompt_ids), np.nan)
        measured, shortest = shortest_by_prompt(tokens, numbers[known])
        div_index[measured] = shortest
    return prefix_lengths(words, numbers), prefix_lengths(chars, numbers), in_tokens, div_index


def _accuracy_spread(
    frame: RunFrame, part: slice
) -> tuple[float | None, list[float] | None, int, int]:
    """Standard deviation of the runs' mean scores, its interval, the runs and the prompts."""
    score = next(iter(frame.scores.values()), None)
    runs = int(frame.repeat[part].max(initial=-1)) + 1
    if score is None or runs < 2:
        return None, None, 0, 0
    scores = np.full((len(frame.prompt_ids), runs), np.nan)
    scores[frame.prompt[part], frame.repeat[part]] = score[part]
    complete = scores[~np.isnan(scores).any(axis=1)]
    if not complete.size:
        return None, None, runs, 0
    spread = float(complete.mean(axis=0).std(ddof=1))
    ends = stats.deviation_ci(spread, runs)
    return spread, json_values.interval(ends), runs, len(complete)


def _token_spread(frame: RunFrame, rows: Ints, total: int) -> Floats:
    """Sample standard deviation of the completion tokens of each prompt's repeats; NaN unknown."""
    tokens = frame.values("completion_tokens")[rows]
    known = ~np.isnan(tokens)
    prompt, tokens = frame.prompt[rows][known], tokens[known]
    count = np.bincount(prompt, minlength=total).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(prompt, tokens, minlength=total) / count
        squares = np.bincount(prompt, (tokens - mean[prompt]) ** 2, minlength=total)
        return np.where(count >= 2, np.sqrt(squares / (count - 1.0)), np.nan)
