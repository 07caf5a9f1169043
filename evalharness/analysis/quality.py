"""How good the outputs are, per setting: score, its spread between repeats, pass@k and pass^k.

Errors are in no score; a refused record counts 0 where its prompt has a target (see
:mod:`.data.frame_builder`). A repeat is *right* when its score is 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.agreement.determinism import clustered
from evalharness.analysis.data import json_values
from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import Frame

TAUS = (0.5, 0.75, 1.0)


def quality(frame: Frame, scorer: str | None = None) -> list[dict[str, Any]]:
    """Describe the scores of every setting.

    Args:
        frame: the run.
        scorer: which scorer; None is the primary.

    Returns:
        One a setting: ``mean`` over prompts of the mean over scored repeats, with ``ci95``;
        ``pass_hat_k`` and ``pass_at_k`` for every k from 1 to N, prompts with fewer scored repeats
        left out of that k, null when none is left; ``g_pass_at_k``, the same by tau (see
        :func:`g_pass_curves`); ``prompts`` and ``n``, scored prompts and
        records; ``runs``, see :func:`run_range`. Empty and null without a scorer.

    """
    score = frame.scores.get(scorer) if scorer else next(iter(frame.scores.values()), None)
    if score is None:
        return [_unscored() for _ in frame.setting_ids]
    means = frame.per_prompt(f"score.{scorer}" if scorer else "score")
    out: list[dict[str, Any]] = []
    for s in range(len(frame.setting_ids)):
        rows = frame.rows_of(s)
        most = int(np.bincount(frame.prompt[rows][frame.usable[rows]], minlength=1).max())
        right, scored = _right(frame.prompt[rows], score[rows])
        kinds = Kinds.of(right, scored)
        hat, at = pass_curves(kinds, most)
        out.append(
            {
                "mean": json_values.mean(means[:, s]),
                "ci95": json_values.mean_interval(means[:, s]),
                **clustered(frame, means[:, s]),
                "pass_hat_k": hat,
                "pass_at_k": at,
                "g_pass_at_k": g_pass_curves(kinds, most),
                "prompts": len(scored),
                "n": int(scored.sum()),
                "runs": run_range(frame.prompt[rows], frame.repeat[rows], score[rows]),
            }
        )
    return out


def _unscored() -> dict[str, Any]:
    nothing: dict[str, Any] = {"mean": None, "ci95": None, "pass_hat_k": {}, "pass_at_k": {}}
    return {**nothing, "g_pass_at_k": {}, "prompts": 0, "n": 0, "runs": None}


def _right(prompt: Ints, score: Floats) -> tuple[Ints, Ints]:
    """Right and scored repeats of each prompt that has any scored."""
    known = ~np.isnan(score)
    n = np.bincount(prompt[known])
    c = np.bincount(prompt[known & (score >= 1.0)], minlength=len(n))
    return c[n > 0], n[n > 0]


class Kinds(NamedTuple):
    """Prompts alike in scored and right repeats: few kinds, however many prompts.

    Attributes:
        right: c, right repeats of each prompt of the kind.
        scored: n, its scored repeats.
        prompts: how many prompts are of the kind.
    """

    right: Ints
    scored: Ints
    prompts: Ints

    @classmethod
    def of(cls, right: Ints, scored: Ints) -> Kinds:
        """Tell the kinds of some prompts, given by their right and scored repeats."""
        width = int(scored.max(initial=0)) + 1
        kinds, prompts = np.unique(right * width + scored, return_counts=True)
        return cls(kinds // width, kinds % width, prompts)


def pass_curves(kinds: Kinds, most: int) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Mean pass^k and pass@k over prompts, for every k from 1 to ``most``.

    Definitions and sources in :mod:`.stats.repeats`.
    """
    c, n, weight = kinds
    ks = [str(k) for k in range(1, most + 1)]
    hat = [_mean(chance, weight) for chance in stats.all_of_each_k(n, c, most)]
    at = [_mean(1.0 - chance, weight) for chance in stats.all_of_each_k(n, n - c, most)]
    return dict(zip(ks, hat, strict=True)), dict(zip(ks, at, strict=True))


def g_pass_curves(kinds: Kinds, most: int) -> dict[str, dict[str, float | None]]:
    """Mean G-Pass@k over prompts, for each tau of :data:`TAUS`: arguments as :func:`pass_curves`.

    The chance that at least ``ceil(tau k)`` of k repeats are right; tau 1 is pass^k. Every k up to
    32, then powers of two and ``most``: neighbours differ by less than anybody reads.
    """
    c, n, weight = kinds
    ks = [k for k in range(1, most + 1) if k <= 32 or k == most or k & (k - 1) == 0]
    return {
        f"{tau:g}": {str(k): _mean(stats.g_pass_at_k(n, c, k, tau), weight) for k in ks}
        for tau in TAUS
    }


def _mean(chance: Floats, weight: Ints) -> float | None:
    """Weighted mean of the prompts with enough repeats; None when there is none."""
    known = ~np.isnan(chance)
    prompts = int(weight[known].sum())
    return float((chance[known] * weight[known]).sum()) / prompts if prompts else None


def run_range(prompt: Ints, repeat: Ints, score: Floats) -> dict[str, Any] | None:
    """Measure what a single run can hide: the spread of the mean score between repeats.

    Only prompts scored in every repeat count, so that the runs are comparable.

    Args:
        prompt: prompt of each record of one setting, ascending.
        repeat: its repeat, ascending within a prompt.
        score: its score, NaN not scored.

    Returns:
        ``lowest``, ``highest``, ``range``: of the mean score of a repeat; ``best_possible`` and
        ``worst_possible``: share of prompts right in any, and in all repeats; ``prompts`` that
        count, ``repeats``. None with fewer than two repeats, or no prompt scored in all.

    """
    known = ~np.isnan(score)
    repeats = len(np.unique(repeat[known]))
    complete = np.bincount(prompt[known], minlength=1) == repeats
    rows = known & complete[np.minimum(prompt, len(complete) - 1)]
    if repeats < 2 or not rows.any():
        return None
    table = score[rows].reshape(-1, repeats)
    runs = table.mean(axis=0)
    return {
        "lowest": float(runs.min()),
        "highest": float(runs.max()),
        "range": float(runs.max() - runs.min()),
        "best_possible": float((table >= 1.0).any(axis=1).mean()),
        "worst_possible": float((table >= 1.0).all(axis=1).mean()),
        "prompts": len(table),
        "repeats": repeats,
    }
