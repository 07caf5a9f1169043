"""Quality of the outputs by setting: score, its spread between repeats, pass@k and pass^k.

Errors are in no score; a refused record counts 0 where its prompt has a target (see
:mod:`.data.frame_builder`). A repeat is *right* when its score is 1.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import json_values
from evalharness.analysis.data.cell_means import cell_means
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame

TAUS = (0.5, 0.75, 1.0)


class RunRange(msgspec.Struct, frozen=True, kw_only=True):
    """The spread of the mean score between repeats, which a single run does not show.

    Only prompts scored in every repeat count, so that the runs are comparable.

    Attributes:
        lowest, highest: mean score of the lowest and of the highest repeat, in [0, 1].
        range: the highest minus the lowest.
        best_possible: share of prompts right in any repeat.
        worst_possible: share of prompts right in all repeats.
        prompts: prompts scored in every repeat.
        repeats: how many there are.
    """

    lowest: float
    highest: float
    range: float
    best_possible: float
    worst_possible: float
    prompts: int
    repeats: int


class ScoreSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of a setting by one scorer.

    Attributes:
        mean: mean over prompts of the mean over their scored repeats, in [0, 1]; null when
            nothing is scored.
        ci95: ``[low, high]`` of it over prompts, or over whole clusters where prompts name one;
            null where it is undefined.
        pass_hat_k: chance that k repeats are all right, by k from 1 to the most usable repeats;
            prompts with fewer scored repeats are left out of that k, null when none is left.
        pass_at_k: chance that any of k repeats is right, likewise.
        g_pass_at_k: chance that at least a share tau of k repeats is right, by tau, then k (see
            :func:`g_pass_curves`).
        prompts: scored prompts.
        n: scored records.
        runs: the spread between repeats; null with fewer than two repeats, or no prompt scored in
            all of them.
    """

    mean: float | None
    ci95: list[float] | None
    pass_hat_k: dict[str, float | None]
    pass_at_k: dict[str, float | None]
    g_pass_at_k: dict[str, dict[str, float | None]]
    prompts: int
    n: int
    runs: RunRange | None


_UNSCORED = ScoreSummary(
    mean=None, ci95=None, pass_hat_k={}, pass_at_k={}, g_pass_at_k={}, prompts=0, n=0, runs=None
)


def quality(frame: RunFrame, scorer: str | None = None) -> list[ScoreSummary]:
    """Describe the scores of each setting; empty and null without a scorer.

    Args:
        frame: the run.
        scorer: which scorer; None is the primary.
    """
    score = frame.scores.get(scorer) if scorer else next(iter(frame.scores.values()), None)
    if score is None:
        return [_UNSCORED for _ in frame.setting_ids]
    means = cell_means(frame, f"score.{scorer}" if scorer else "score")
    out: list[ScoreSummary] = []
    for s in range(len(frame.setting_ids)):
        rows = frame.rows_of(s)
        max_k = int(np.bincount(frame.prompt[rows][frame.usable[rows]], minlength=1).max())
        right, scored = _right_and_scored(frame.prompt[rows], score[rows])
        counts = PassCounts.of(right, scored)
        hat, at = pass_curves(counts, max_k)
        out.append(
            ScoreSummary(
                mean=json_values.mean(means[:, s]),
                ci95=json_values.share_interval(means[:, s], frame.clusters),
                pass_hat_k=hat,
                pass_at_k=at,
                g_pass_at_k=g_pass_curves(counts, max_k),
                prompts=len(scored),
                n=int(scored.sum()),
                runs=run_range(frame.prompt[rows], frame.repeat[rows], score[rows]),
            )
        )
    return out


def _right_and_scored(prompt: Ints, score: Floats) -> tuple[Ints, Ints]:
    """Right and scored repeats of each prompt that has any scored."""
    known = ~np.isnan(score)
    n = np.bincount(prompt[known])
    c = np.bincount(prompt[known & (score >= 1.0)], minlength=len(n))
    return c[n > 0], n[n > 0]


class PassCounts(NamedTuple):
    """Numbers of right and scored repeats, and how many prompts have each combination.

    There are few combinations, however many prompts.

    Attributes:
        right: c, the right repeats of a prompt.
        scored: n, its scored repeats.
        prompts: how many prompts have this c and n.
    """

    right: Ints
    scored: Ints
    prompts: Ints

    @classmethod
    def of(cls, right: Ints, scored: Ints) -> PassCounts:
        """Count the combinations, from the right and scored repeats of each prompt."""
        width = int(scored.max(initial=0)) + 1
        codes, prompts = np.unique(right * width + scored, return_counts=True)
        return cls(codes // width, codes % width, prompts)


def pass_curves(
    counts: PassCounts, max_k: int
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Mean pass^k and pass@k over prompts, for every k from 1 to ``max_k``.

    Definitions and sources in :mod:`.stats.repeats`.
    """
    c, n, weight = counts
    ks = [str(k) for k in range(1, max_k + 1)]
    hat = [_mean(chance, weight) for chance in stats.all_of_each_k(n, c, max_k)]
    at = [_mean(1.0 - chance, weight) for chance in stats.all_of_each_k(n, n - c, max_k)]
    return dict(zip(ks, hat, strict=True)), dict(zip(ks, at, strict=True))


def g_pass_curves(counts: PassCounts, max_k: int) -> dict[str, dict[str, float | None]]:
    """Mean G-Pass@k over prompts, for each tau of :data:`TAUS`: arguments as :func:`pass_curves`.

    The chance that at least ``ceil(tau k)`` of k repeats are right; tau 1 is pass^k. Every k up to
    32, then powers of two and ``max_k``: figures between them hardly differ.
    """
    c, n, weight = counts
    ks = [k for k in range(1, max_k + 1) if k <= 32 or k == max_k or k & (k - 1) == 0]
    return {
        f"{tau:g}": {str(k): _mean(stats.g_pass_at_k(n, c, k, tau), weight) for k in ks}
        for tau in TAUS
    }


def _mean(chance: Floats, weight: Ints) -> float | None:
    """Weighted mean of the prompts with enough repeats; None when there is none."""
    known = ~np.isnan(chance)
    prompts = int(weight[known].sum())
    return float((chance[known] * weight[known]).sum()) / prompts if prompts else None


def run_range(prompt: Ints, repeat: Ints, score: Floats) -> RunRange | None:
    """The spread of the mean score between repeats.

    Args:
        prompt: prompt of each record of one setting, ascending.
        repeat: its repeat, ascending within a prompt.
        score: its score, NaN not scored.

    Returns:
        None with fewer than two repeats, or no prompt scored in all.

    """
    known = ~np.isnan(score)
    repeats = len(np.unique(repeat[known]))
    complete = np.bincount(prompt[known], minlength=1) == repeats
    rows = known & complete[np.minimum(prompt, len(complete) - 1)]
    if repeats < 2 or not rows.any():
        return None
    table = score[rows].reshape(-1, repeats)
    runs = table.mean(axis=0)
    return RunRange(
        lowest=float(runs.min()),
        highest=float(runs.max()),
        range=float(runs.max() - runs.min()),
        best_possible=float((table >= 1.0).any(axis=1).mean()),
        worst_possible=float((table >= 1.0).all(axis=1).mean()),
        prompts=len(table),
        repeats=repeats,
    )
