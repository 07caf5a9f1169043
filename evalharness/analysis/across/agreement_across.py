"""Agreement across settings: how often two of them, or two runs, give the same output.

``across`` of a prompt is the chance that a repeat of one setting equals a repeat of the other; the
figure is its mean over prompts. A setting that does not repeat itself cannot agree with another one
either, so each setting's own pairwise agreement stands beside, over the same prompts. ``own`` less
``across`` is how much further apart the two are than the repeats of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import msgspec
import numpy as np
from msgspec import structs

from evalharness.analysis import stats
from evalharness.analysis.across import shuffle_test
from evalharness.analysis.across.output_counts import OutputCounts, count_outputs
from evalharness.analysis.across.prompt_shares import (
    PromptAcross,
    PromptShares,
    SettingPairs,
    least_alike,
    merge_outputs,
    prompt_shares,
)
from evalharness.analysis.across.similarity import Side, Similarity, similarities
from evalharness.analysis.data import json_values
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn

MAX_SETTINGS = 24  # whose pairs a report compares: 276 pairs
HOLM_UP_TO = 20
_DRAWS = 1_999  # of the intervals; p has shuffles of its own

Verdict = Literal["equal", "apart", "as repeats", "not tested", "unknown"]


class AcrossFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How often two settings give the same text, or the same answer. Shares are in [0, 1].

    Attributes:
        across: chance that a repeat of one equals a repeat of the other, mean over prompts; null
            where no prompt has an output in both.
        ci95: ``[low, high]`` of it over prompts, or whole clusters; null where it is undefined.
        prompts: prompts with an output in both.
        own_a, own_b: pairwise agreement of each setting, over the prompts with two or more repeats
            in both; null without any.
        own_minus_across: mean of the two less ``across``, over these prompts: how much further
            apart the settings are than the repeats of each.
        own_minus_across_ci95: its interval over prompts, or clusters; null where it is undefined.
        repeated_prompts: how many these are.
        parsed_a, parsed_b: share of the setting's outputs of these ``prompts`` with a parsed
            answer; 1 of texts, null without prompts.
        p: one-sided p of "each prompt's outputs come with the same chances from both", by dealing
            the outputs of each prompt anew to the two; null without such prompts.
        p_adjusted: p adjusted over all pairs (Holm up to 20 of them, else Benjamini-Hochberg).
        verdict: ``equal`` (no two outputs differ), ``apart`` (p_adjusted below .05), ``as repeats``
            (they differ, by no more than shown of their own repeats), ``not tested`` (too few
            repeats), ``unknown`` (no prompt in both, or no answer parsed in either).
    """

    across: float | None
    ci95: list[float] | None
    prompts: int
    own_a: float | None
    own_b: float | None
    own_minus_across: float | None
    own_minus_across_ci95: list[float] | None
    repeated_prompts: int
    parsed_a: float | None
    parsed_b: float | None
    p: float | None
    p_adjusted: float | None = None
    verdict: Verdict = "unknown"


class AgreementAcross(msgspec.Struct, frozen=True, kw_only=True):
    """The agreement across two settings.

    Attributes:
        a, b: their setting ids.
        a_label, b_label: their labels.
        a_run, b_run: their runs; null where a single run is read.
        text: of the whole outputs, compared exactly.
        answer: of the parsed answers, an unparsed one equal to nothing; null without answers.
        similarity_across: edit similarity between a repeat of one and a repeat of the other, 1
            where they are equal, mean over prompts; null where none was measured.
        similarity_across_pairs: pairs of different outputs that it was measured for.
        similarity_across_sampled: whether these are not all.
        least_alike: up to 5 prompts on which the texts agree less across than within, the least
            alike first.
    """

    a: str
    b: str
    a_label: str
    b_label: str
    a_run: str | None
    b_run: str | None
    text: AcrossFigures
    answer: AcrossFigures | None
    similarity_across: float | None
    similarity_across_pairs: int
    similarity_across_sampled: bool
    least_alike: list[PromptAcross]


def all_pairs(joined: JoinedRuns) -> list[tuple[SettingColumn, SettingColumn]]:
    """Every two settings, of the first :data:`MAX_SETTINGS`."""
    return list(combinations(joined.columns[:MAX_SETTINGS], 2))


def agreement_across(
    joined: JoinedRuns, pairs: SettingPairs, *, compare_texts: bool = True
) -> list[AgreementAcross]:
    """Describe the agreement across each pair of settings.

    Args:
        joined: the runs.
        pairs: the settings, side ``a`` first.
        compare_texts: whether edit similarity is measured.
    """
    texts = count_outputs(joined, "text")
    if not pairs or texts is None:
        return []
    answers = count_outputs(joined, "answer")
    of_texts = _figures(joined, pairs, texts)
    of_answers = [None] * len(pairs) if answers is None else _figures(joined, pairs, answers)
    alike = _similarities(joined, pairs, texts) if compare_texts else [None] * len(pairs)
    several = len(joined.frames) > 1
    return [
        AgreementAcross(
            a=a.setting_id,
            b=b.setting_id,
            a_label=a.label,
            b_label=b.label,
            a_run=a.run if several else None,
            b_run=b.run if several else None,
            text=text,
            answer=answer,
            similarity_across=None if similarity is None else similarity.mean,
            similarity_across_pairs=0 if similarity is None else similarity.pairs,
            similarity_across_sampled=similarity is not None and similarity.sampled,
            least_alike=least_alike(joined, prompt_shares(texts[a.index], texts[b.index])),
        )
        for (a, b), text, answer, similarity in zip(pairs, of_texts, of_answers, alike, strict=True)
    ]


def _figures(
    joined: JoinedRuns, pairs: SettingPairs, outputs: Sequence[OutputCounts]
) -> list[AcrossFigures]:
    flips = stats.SignFlips(clusters=joined.clusters, draws=_DRAWS)
    figures: list[AcrossFigures] = []
    for a, b in pairs:
        first, second = outputs[a.index], outputs[b.index]
        p = _pair_p(first, second, len(pairs))
        shares = prompt_shares(first, second)
        flips.add(shares.own_minus_across, p=p)
        figures.append(_pair_figures(joined, shares, (first, second), p))
    tests = flips.tests()
    raw = np.array([np.nan if row.p is None else row.p for row in figures], np.float64)
    adjust = stats.holm if len(figures) <= HOLM_UP_TO else stats.benjamini_hochberg
    return [
        _with_verdict(
            structs.replace(
                row,
                p_adjusted=json_values.number(adjusted),
                own_minus_across_ci95=json_values.interval(tests.interval(index)),
            )
        )
        for index, (row, adjusted) in enumerate(zip(figures, adjust(raw)[0], strict=True))
    ]


def _pair_p(a: OutputCounts, b: OutputCounts, pairs: int) -> float | None:
    prompt, in_a, in_b = merge_outputs(a, b)
    return shuffle_test.own_against_across_p(in_a, in_b, prompt, pairs=pairs)


def _pair_figures(
    joined: JoinedRuns,
    shares: PromptShares,
    outputs: tuple[OutputCounts, OutputCounts],
    p: float | None,
) -> AcrossFigures:
    apart = shares.own_minus_across
    shared = np.isfinite(shares.across)
    parsed_a, parsed_b = (side.parsed_share(shared) for side in outputs)
    both = np.isfinite(apart)
    return AcrossFigures(
        across=json_values.mean(shares.across),
        ci95=json_values.share_interval(shares.across, joined.clusters),
        prompts=int(shared.sum()),
        own_a=json_values.mean(shares.own_a[both]),
        own_b=json_values.mean(shares.own_b[both]),
        own_minus_across=json_values.mean(apart),
        own_minus_across_ci95=None,
        repeated_prompts=int(both.sum()),
        parsed_a=parsed_a,
        parsed_b=parsed_b,
        p=p,
    )


def _with_verdict(row: AcrossFigures) -> AcrossFigures:
    verdict: Verdict = "as repeats"
    if row.across is None or row.parsed_a == row.parsed_b == 0.0:
        verdict = "unknown"
    elif row.across == 1.0:
        verdict = "equal"
    elif row.p_adjusted is None:
        verdict = "not tested"
    elif row.p_adjusted < stats.ALPHA:
        verdict = "apart"
    return structs.replace(row, verdict=verdict)


def _similarities(
    joined: JoinedRuns, pairs: SettingPairs, texts: Sequence[OutputCounts]
) -> list[Similarity]:
    def side(column: SettingColumn) -> Side:
        return Side(joined.frame_of(column), texts[column.index])

    return similarities([(side(a), side(b)) for a, b in pairs])
