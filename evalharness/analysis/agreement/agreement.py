"""How often a repeat of the same request gives the same output, per setting.

Definitions: each figure is the mean over prompts of the prompt's own value. Errors are in none of
them; an unparsed answer agrees with nothing and stays in the denominator. Prompts with fewer usable
repeats than a figure needs are left out of it, and the number of prompts that remain is given with
it. Sources: Atil et al., arXiv 2408.04667 (total agreement rate, TAR); the rarefied form is the
hypergeometric identity ``TAR@k = sum_v C(c_v, k) / C(n, k)``, whose k = 2 is pairwise agreement.
"""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.data import json_values, variants
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.statuses import EMPTY, REFUSED, TRUNCATED
from evalharness.analysis.data.variants import VariantCounts


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far the repeats of a setting agree, in their texts or in their answers.

    Shares are in [0, 1]. A figure is null where no prompt has enough repeats.

    Attributes:
        pairwise: chance that two repeats of a prompt agree, mean over prompts.
        ci95: ``[low, high]`` of it over prompts, or over whole clusters where prompts name one;
            null where it is undefined.
        tar: total agreement rate by k, from 2 to ``n``: chance that k repeats are all equal, mean
            over the prompts that have k.
        tar_at_n: share of prompts whose ``n`` repeats are all equal.
        tar_at_n_ci95: ``[low, high]`` of it, as ``ci95``.
        n: the largest number of usable repeats of a prompt.
        prompts: prompts with at least two usable repeats.
        tar_prompts: prompts with at least k usable repeats, by k.
        modal_share: share of the commonest variant among the repeats of a prompt, mean over
            prompts.
        distinct: different variants of a prompt, mean over prompts.
        effective_outputs: how many variants a prompt behaves like (exp of the entropy), mean over
            prompts.
    """

    pairwise: float | None
    ci95: list[float] | None
    tar: dict[str, float | None]
    tar_at_n: float | None
    tar_at_n_ci95: list[float] | None
    n: int
    prompts: int
    tar_prompts: dict[str, int]
    modal_share: float | None
    distinct: float | None
    effective_outputs: float | None


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """The pairwise agreement of a setting under other rules, in [0, 1]; null where undefined.

    Attributes:
        without_truncated: truncated outputs left out (they can agree only up to max_tokens).
        strict: of texts, each error a variant of its own: a lower bound.
        equal_refusals, equal_empty: share of pairs that agree because both are the same refusal
            (or empty): the part of ``pairwise`` that is not an answer.
        strict_answer: of answers, each error a variant of its own; null without answers.
    """

    without_truncated: float | None
    strict: float | None
    equal_refusals: float | None
    equal_empty: float | None
    strict_answer: float | None


def agreement(frame: RunFrame, counts: VariantCounts | None) -> list[Agreement]:
    """Describe the agreement of each setting, from the variants counted in its cells.

    Args:
        frame: the run.
        counts: variants of outputs or of answers; None when there are none to compare.
    """
    if counts is None:
        max_repeats = _max_repeats(
            frame, np.bincount(frame.cell[frame.usable], minlength=frame.cells)
        )
        return [_no_agreement(int(n)) for n in max_repeats]
    pairwise = _by_setting(frame, variants.pairwise_agreement(counts))
    modal = _by_setting(frame, variants.modal_share(counts))
    distinct = _by_setting(frame, variants.distinct_outputs(counts))
    effective = _by_setting(frame, variants.effective_outputs(counts))
    max_repeats = _max_repeats(frame, counts.n)
    rates, prompts = variants.tar(counts, frame.setting_of_cell, len(frame.setting_ids))
    unanimous = _unanimous(frame, counts, max_repeats)
    out: list[Agreement] = []
    for s in range(len(frame.setting_ids)):
        n = int(max_repeats[s])
        ks = range(2, n + 1)
        tar = {str(k): json_values.number(rates[k - 2][s]) for k in ks}
        out.append(
            Agreement(
                pairwise=json_values.mean(pairwise[s]),
                ci95=json_values.share_interval(pairwise[s], frame.clusters),
                tar=tar,
                tar_at_n=tar[str(n)] if n >= 2 else None,
                tar_at_n_ci95=json_values.share_interval(unanimous[s], frame.clusters),
                n=n,
                prompts=int(np.count_nonzero(~np.isnan(pairwise[s]))),
                tar_prompts={str(k): int(prompts[k - 2][s]) for k in ks},
                modal_share=json_values.mean(modal[s]),
                distinct=json_values.mean(distinct[s]),
                effective_outputs=json_values.mean(effective[s]),
            )
        )
    return out


def _no_agreement(n: int) -> Agreement:
    """The agreement where there is nothing to compare."""
    return Agreement(
        pairwise=None, ci95=None, tar={}, tar_at_n=None, tar_at_n_ci95=None, n=n, prompts=0,
        tar_prompts={}, modal_share=None, distinct=None, effective_outputs=None,
    )  # fmt: skip


def _by_setting(frame: RunFrame, by_cell: Floats) -> Floats:
    """One row a setting, one column a prompt."""
    return by_cell.reshape(len(frame.setting_ids), -1)


def _max_repeats(frame: RunFrame, n: Ints) -> Ints:
    """N of each setting: the largest number of usable repeats of a prompt."""
    return n.reshape(len(frame.setting_ids), len(frame.prompt_ids)).max(axis=1, initial=0)


def _unanimous(frame: RunFrame, counts: VariantCounts, max_repeats: Ints) -> Floats:
    """Whether a prompt gave one output in all of N repeats: 1 or 0; NaN with fewer repeats.

    One row a setting, one column a prompt; NaN everywhere where N is 1.
    """
    all_repeats = max_repeats[frame.setting_of_cell]
    same = np.zeros(frame.cells)
    same[counts.cell[counts.count == all_repeats[counts.cell]]] = 1.0
    complete = (counts.n == all_repeats) & (all_repeats >= 2)
    return _by_setting(frame, np.where(complete, same, np.nan))


def sensitivity(frame: RunFrame) -> list[Sensitivity]:
    """Describe the agreement of each setting under other rules."""
    outputs, answers = frame.output_variants, frame.answer_variants
    # An error that is a variant of its own makes pairs, none of them equal.
    failed = np.bincount(frame.cell[~frame.usable], minlength=frame.cells)
    strict_answer = (
        np.full(frame.cells, np.nan)
        if answers is None
        else variants.pairwise_agreement(answers, repeats=answers.n + failed)
    )

    def means(by_cell: Floats) -> list[float | None]:
        return [json_values.mean(row) for row in _by_setting(frame, by_cell)]

    columns = zip(
        means(_without(frame, frame.status == TRUNCATED)),
        means(variants.pairwise_agreement(outputs, repeats=outputs.n + failed)),
        means(_equal_share(frame, frame.status == REFUSED)),
        means(_equal_share(frame, frame.status == EMPTY)),
        means(strict_answer),
        strict=True,
    )
    return [
        Sensitivity(
            without_truncated=without, strict=strict, equal_refusals=refusals, equal_empty=empty,
            strict_answer=answer,
        )
        for without, strict, refusals, empty, answer in columns
    ]  # fmt: skip


def _without(frame: RunFrame, rows: Bools) -> Floats:
    """Pairwise agreement of each cell without ``rows``; only cells that have such rows change."""
    affected = np.bincount(frame.cell[rows], minlength=frame.cells) > 0
    remaining = frame.known & ~rows & affected[frame.cell]
    part = variants.count_variants(frame.cell, frame.output, frame.cells, remaining)
    return np.where(
        affected,
        variants.pairwise_agreement(part),
        variants.pairwise_agreement(frame.output_variants),
    )


def _equal_share(frame: RunFrame, rows: Bools) -> Floats:
    """Share of a cell's pairs of outputs that are equal and both among ``rows``; null below two."""
    part = variants.count_variants(frame.cell, frame.output, frame.cells, frame.known & rows)
    pairs = np.bincount(part.cell, part.count * (part.count - 1.0), minlength=frame.cells)
    n = frame.output_variants.n.astype(np.float64)
    return np.where(n >= 2, pairs / np.maximum(n * (n - 1), 1.0), np.nan)
