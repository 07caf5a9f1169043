"""Whether the seed is honoured: agreement of repeats with one seed against different seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.comparison.comparison_text import p_text
from evalharness.analysis.data.encode import Bools, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import number
from evalharness.analysis.parameters.effect import (
    EffectEvidence,
    FollowedShare,
    ParameterEffect,
    undetectable,
)
from evalharness.analysis.parameters.followed_share import SeedAgreement, followed_share
from evalharness.analysis.parameters.pooled_outputs import (
    equal_pairs,
    group_settings,
    known_outputs,
    known_rows,
    parameter_key,
)
from evalharness.config.parameter_values import comparison_key

SHUFFLED_UP_TO = 10_000  # outputs: up to here labels are shuffled at least 999 times in a second
MANY = 100  # prompts: from here sign flips of their differences give the same verdict
MOST = 0.5  # requests: an honoured seed is followed by more for sure, an ignored one by fewer
NEARLY_ALL = 0.95  # requests: where fewer follow for sure, a seed is honoured in part

_NO_SEED = comparison_key(None)


def seed_effect(
    frame: RunFrame, *, seed: int = 0, draws: int = stats.DRAWS
) -> ParameterEffect | None:
    """Judge whether equal seeds give equal outputs more often than different seeds do.

    Per prompt: agreement of pairs with the same seed against that of pairs with different seeds,
    everything else equal, where temperature is not 0. The test shuffles the seeds among the
    outputs of a prompt (:func:`.stats.label_permutation`, one-sided); past 10,000 outputs of at
    least 100 prompts, it flips the signs of the prompts' differences. How many requests follow the
    seed is estimated beside it (:func:`.followed_share`).

    Args:
        frame: the run.
        seed: of shuffles and sign flips.
        draws: how many shuffles or sign patterns.

    Returns:
        None when no seed was swept.

    """
    groups = group_settings(frame, ignore=("seed",), without_zero=True)
    swept = [g for g in groups if len({parameter_key(frame, s, "seed") for s in g}) > 1]
    if not swept:
        if len({parameter_key(frame, s, "seed") for s in range(len(frame.setting_ids))}) < 2:
            return None
        return undetectable("seed", "seeds were swept at temperature 0 only, where none matters")
    pairs = _SeedPairs(frame, swept)
    joined = np.isfinite(pairs.same - pairs.cross)
    n = int(joined.sum())
    if n == 0:
        return undetectable("seed", "it takes at least two repeats with one seed, and two seeds")
    p, test = _p_and_test(frame, swept, pairs, seed, draws)
    agreement = SeedAgreement(
        pairs.same[joined], pairs.cross[joined], pairs.of_same[joined], pairs.overlaps[joined]
    )
    clusters = None if frame.clusters is None else frame.clusters[joined]
    followed = followed_share(agreement, p=p, clusters=clusters)
    within, between = float(agreement.same.mean()), float(agreement.different.mean())
    evidence = EffectEvidence(
        same_seed_agreement=within,
        different_seed_agreement=between,
        difference=within - between,
        followed=followed,
        p=p,
        test=test,
        n=n,
    )
    verdict, share, why = _verdict(followed, p)
    sentence = (
        f"seed {verdict}: {share}repeats with the same seed agree {100 * within:.1f} %, with "
        f"different seeds {100 * between:.1f} % ({p_text(p)}, n={n}){why}"
    )
    return ParameterEffect(parameter="seed", verdict=verdict, evidence=evidence, sentence=sentence)


def seed_not_offered(frame: RunFrame, without_seed: Mapping[str, str]) -> ParameterEffect | None:
    """The verdict on a run none of whose providers can be given a seed; None on any other.

    Args:
        frame: the run.
        without_seed: providers whose API has no seed, each with what its API is called.
    """
    providers = {str(row.get("provider")) for row in frame.setting_rows}
    apis = sorted({without_seed[name] for name in providers if name in without_seed})
    if not apis or not providers <= without_seed.keys():
        return None
    if any("extra.seed" in frame.params(index) for index in range(len(frame.setting_ids))):
        return None  # a server that knows one all the same
    has = "has" if len(apis) == 1 else "have"
    return ParameterEffect(
        parameter="seed",
        verdict="not offered",
        evidence=EffectEvidence(n=0),
        sentence=f"seed not offered: {' and '.join(apis)} {has} none",
    )


def _verdict(followed: FollowedShare | None, p: float | None) -> tuple[str, str, str]:
    """The verdict, what is said of the share before the agreements, and what is added.

    The test decides whether a seed has an effect; the interval of the share, which is above 0
    where the test says so, decides how much of one.
    """
    if followed is None:
        return "undetectable", "", "; the outputs never differed, so a seed had nothing to do"
    ci = followed.ci95
    if p is not None and p < 0.05:
        ends = "" if ci is None else f" [{100 * ci[0]:.0f}, {100 * ci[1]:.0f}]"
        share = f"about {100 * followed.share:.0f} % of requests follow it{ends}; "
        if ci is None:
            return "partly honoured", share, "; one prompt or cluster gives no interval"
        if ci[1] < NEARLY_ALL:
            return "partly honoured", share, ""
        if ci[0] >= MOST:
            return "honoured", share, ""
        return "partly honoured", share, "; too few outputs that differ to tell whether all do"
    share = "" if ci is None else f"at most {100 * ci[1]:.0f} % of requests follow it; "
    if ci is not None and ci[1] < MOST:
        return "ignored", share, ""
    return "undetectable", share, "; too few prompts or repeats to tell"


class _SeedPairs:
    """Pairs of outputs of each prompt with the same seed and with different ones.

    Attributes:
        of_same, of_cross: how many pairs there are.
        overlaps: how many ordered pairs of those with the same seed have an output in common.
        same, cross: the share of pairs that are equal; NaN without any.

    """

    def __init__(self, frame: RunFrame, swept: list[list[int]]) -> None:
        prompts = len(frame.prompt_ids)
        equal_same, equal_cross = np.zeros(prompts), np.zeros(prompts)
        self.of_same, self.of_cross = np.zeros(prompts), np.zeros(prompts)
        self.overlaps = np.zeros(prompts)
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
                    n = known_outputs(frame, settings).astype(np.float64)
                    self.overlaps += n * (n - 1) * (n - 2)
                equal, pairs = equal - same_equal, pairs - same_pairs
            equal_cross += equal
            self.of_cross += pairs
        with np.errstate(invalid="ignore"):
            self.same, self.cross = equal_same / self.of_same, equal_cross / self.of_cross


def _p_and_test(
    frame: RunFrame, swept: list[list[int]], pairs: _SeedPairs, seed: int, draws: int
) -> tuple[float | None, str]:
    """One-sided p of "the seed changes nothing", and the name of the test."""
    d = pairs.same - pairs.cross
    joined = np.isfinite(d)
    cell, code, label, labels = _seed_labels(frame, swept, joined)
    if cell.size > SHUFFLED_UP_TO and int(joined.sum()) >= MANY:
        p = number(stats.sign_flip(d, clusters=frame.clusters, seed=seed, draws=draws)[0])
        if p is not None:
            p = p / 2.0 if d[joined].mean() > 0 else 1.0 - p / 2.0
        return p, "sign-flip permutation, one-sided"
    # An equal pair of one seed adds to the same-seed share and is missing from the other share.
    # Among requests without a seed (label 0) it is only missing from the other.
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(joined, 1.0 / pairs.of_same, 0.0)
        other = np.where(joined, 1.0 / pairs.of_cross, 0.0)
    weight = np.repeat((own + other)[:, None], labels, axis=1)
    weight[:, 0] = other
    weight = np.tile(weight, (len(swept), 1))
    p = stats.label_permutation(cell, code, label, weight, seed=seed, draws=draws)
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
