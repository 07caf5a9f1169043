"""Whether the seed is honoured: agreement of repeats with one seed against different seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison_text import p_text
from evalharness.analysis.data.encode import Bools, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.parameters.effect import (
    EffectEvidence,
    ParameterEffect,
    undetectable,
)
from evalharness.analysis.parameters.pooled_outputs import (
    equal_pairs,
    group_settings,
    known_rows,
    parameter_key,
)
from evalharness.config.parameter_values import comparison_key

SHUFFLED_UP_TO = 10_000  # outputs: up to here labels are shuffled at least 999 times in a second
MANY = 100  # prompts: from here sign flips of their differences give the same verdict

_NO_SEED = comparison_key(None)


def seed_effect(frame: RunFrame, *, seed: int = 0) -> ParameterEffect | None:
    """Judge whether equal seeds give equal outputs more often than different seeds do.

    Per prompt: agreement of pairs with the same seed minus that of pairs with different seeds,
    everything else equal, where temperature is not 0. The test shuffles the seeds among the
    outputs of a prompt (:func:`.stats.label_permutation`, one-sided); past 10,000 outputs of at
    least 100 prompts, it flips the signs of the prompts' differences. None when no seed was swept.
    """
    groups = group_settings(frame, ignore=("seed",), without_zero=True)
    swept = [g for g in groups if len({parameter_key(frame, s, "seed") for s in g}) > 1]
    if not swept:
        if len({parameter_key(frame, s, "seed") for s in range(len(frame.setting_ids))}) < 2:
            return None
        return undetectable("seed", "seeds were swept at temperature 0 only, where none matters")
    pairs = _SeedPairs(frame, swept)
    d = pairs.same - pairs.cross
    joined = np.isfinite(d)
    n = int(joined.sum())
    if n == 0:
        return undetectable("seed", "it takes at least two repeats with one seed, and two seeds")
    within, between = float(pairs.same[joined].mean()), float(pairs.cross[joined].mean())
    ci = stats.mean_ci(d, clusters=frame.clusters, scale="difference", seed=seed)
    p, test = _p_and_test(frame, swept, pairs, seed)
    evidence = EffectEvidence(
        same_seed_agreement=within,
        different_seed_agreement=between,
        difference=within - between,
        ci95=interval(ci),
        p=p,
        test=test,
        n=n,
    )
    verdict, why = _verdict(within - between, 1.0 - between, interval(ci), p)
    sentence = (
        f"seed {verdict}: repeats with the same seed agree {100 * within:.1f} %, with different "
        f"seeds {100 * between:.1f} % ({p_text(p)}, n={n}){why}"
    )
    return ParameterEffect(parameter="seed", verdict=verdict, evidence=evidence, sentence=sentence)


def _verdict(
    gain: float, headroom: float, ci: list[float] | None, p: float | None
) -> tuple[str, str]:
    """Compare the gain in agreement with that of a fully honoured seed, whose agreement is 1.

    ``headroom`` is the latter; ``ci`` is the interval of the gain.
    """
    if headroom <= 1e-9:
        return "undetectable", "; the outputs never differed, so a seed had nothing to do"
    if p is not None and p < 0.05 and gain > 0:
        if gain >= headroom / 2:
            return "honoured", ""
        return "partly honoured", "; far from every repeat follows the seed"
    if ci is not None and ci[1] < headroom / 2:
        return "ignored", ""
    return "undetectable", "; too few prompts or repeats to tell"


class _SeedPairs:
    """Pairs of outputs of each prompt with the same seed and with different ones.

    Attributes:
        of_same, of_cross: how many pairs there are.
        same, cross: the share of them that are equal; NaN without any.

    """

    def __init__(self, frame: RunFrame, swept: list[list[int]]) -> None:
        prompts = len(frame.prompt_ids)
        equal_same, equal_cross = np.zeros(prompts), np.zeros(prompts)
        self.of_same, self.of_cross = np.zeros(prompts), np.zeros(prompts)
        for group in swept:
            by_seed: dict[Any, list[int]] = {}
            for setting in group:
                by_seed.setdefault(parameter_key(frame, setting, "seed"), []).append(setting)
            equal, pairs = equal_pairs(frame, group)
            for value, settings in by_seed.items():
                same_equal, same_pairs = equal_pairs(frame, settings)
                # Requests without a seed are pairs of neither kind among themselves.
                if value != _NO_SEED:
                    equal_same += same_equal
                    self.of_same += same_pairs
                equal, pairs = equal - same_equal, pairs - same_pairs
            equal_cross += equal
            self.of_cross += pairs
        with np.errstate(invalid="ignore"):
            self.same, self.cross = equal_same / self.of_same, equal_cross / self.of_cross


def _p_and_test(
    frame: RunFrame, swept: list[list[int]], pairs: _SeedPairs, seed: int
) -> tuple[float | None, str]:
    """P of "the seed changes nothing", and the name of the test."""
    d = pairs.same - pairs.cross
    joined = np.isfinite(d)
    cell, code, label, labels = _seed_labels(frame, swept, joined)
    if cell.size > SHUFFLED_UP_TO and int(joined.sum()) >= MANY:
        p = number(stats.sign_flip(d, clusters=frame.clusters, seed=seed)[0])
        return p, "sign-flip permutation"
    # An equal pair of one seed adds to the same-seed share and is missing from the other share.
    # Among requests without a seed (label 0) it is only missing from the other.
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(joined, 1.0 / pairs.of_same, 0.0)
        other = np.where(joined, 1.0 / pairs.of_cross, 0.0)
    weight = np.repeat((own + other)[:, None], labels, axis=1)
    weight[:, 0] = other
    weight = np.tile(weight, (len(swept), 1))
    p = stats.label_permutation(cell, code, label, weight, seed=seed)
    return p, "permutation of seeds within prompts, one-sided"


def _seed_labels(
    frame: RunFrame, swept: list[list[int]], joined: Bools
) -> tuple[Ints, Ints, Ints, int]:
    """Cell (group × prompt), output and seed of each output of the joined prompts.

    The last figure is the number of labels; label 0 is "no seed".
    """
    prompts = len(frame.prompt_ids)
    numbers: dict[Any, int] = {_NO_SEED: 0}
    cells: list[Ints] = []
    rows: list[Ints] = []
    labels: list[Ints] = []
    for index, group in enumerate(swept):
        for setting in group:
            setting_rows = known_rows(frame, [setting])
            setting_rows = setting_rows[joined[frame.prompt[setting_rows]]]
            number_of = numbers.setdefault(parameter_key(frame, setting, "seed"), len(numbers))
            rows.append(setting_rows)
            cells.append(frame.prompt[setting_rows].astype(np.int64) + index * prompts)
            labels.append(np.full(setting_rows.size, number_of, np.int64))
    all_rows = np.concatenate(rows)
    return np.concatenate(cells), frame.output[all_rows], np.concatenate(labels), len(numbers)
