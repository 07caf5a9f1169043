"""Thirty runs, looked at after each: alarms where nothing changes, and changes found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cells import FALSE, Case, Outcome
from evalharness.analysis import stats

Floats = NDArray[np.float64]
RUNS = 30
_CHANGE = 25  # the first run after a planted change

Series = Callable[[np.random.Generator, int], Floats]


def passes(rng: np.random.Generator, prompts: int, drop: float = 0.0) -> Floats:
    """Pass rates of three repeats; ``drop`` is taken from the share of the last runs."""
    rates = np.repeat(rng.beta(4.0, 1.0, prompts)[:, None], RUNS, axis=1)
    rates[:, _CHANGE:] = np.maximum(0.0, rates[:, _CHANGE:] - drop)
    return rng.binomial(3, rates) / 3


def rare_failures(rng: np.random.Generator, prompts: int) -> Floats:
    """Pass rates of three repeats that fail once in 300."""
    return rng.binomial(3, 0.9967, (prompts, RUNS)) / 3


def logarithms(rng: np.random.Generator, prompts: int, tails: int | None = None) -> Floats:
    """Logarithms of seconds; each run has noise of its own, heavy-tailed with ``tails``."""
    shared = rng.standard_normal(RUNS) if tails is None else rng.standard_t(tails, RUNS)
    own = rng.normal(0.0, 0.3, (prompts, RUNS))
    return rng.normal(0.0, 0.5, (prompts, 1)) + 0.1 * shared + own


def first_tokens(
    rng: np.random.Generator, prompts: int, drop: float = 0.0, tails: int | None = None
) -> Floats:
    """Log-probabilities of first tokens; ``drop`` is taken from the last runs.

    Most prompts are sure of their token. The noise of a prompt grows with its doubt, and each run
    has a little of its own, as other servers of one model have; heavy-tailed with ``tails``.
    """
    level = -(rng.exponential(0.3, (prompts, 1)) ** 2)
    shape = (prompts, RUNS)
    own = rng.standard_normal(shape) if tails is None else rng.standard_t(tails, shape)
    values = level + 0.05 * np.abs(level) * own + 0.01 * level * rng.standard_normal(RUNS)
    values[:, _CHANGE:] -= drop * rng.exponential(1.0, (prompts, 1))
    return np.minimum(values, 0.0)


def alarms(
    rng: np.random.Generator,
    runs: int,
    *,
    series: Series,
    prompts: int,
    by_rank: bool = False,
    clusters: int | None = None,
    looks: range = range(stats.MIN_RUNS, RUNS + 1),
) -> Outcome:
    """How many series have an alarm at any look.

    Args:
        rng: the source of the data.
        runs: how many series.
        series: draws one, prompts × runs.
        prompts: of each.
        by_rank: as of :func:`.stats.change_test`.
        clusters: how many clusters the prompts make; None for none.
        looks: after how many runs someone looks.
    """
    labels = None if clusters is None else np.arange(prompts) % clusters
    hits = 0
    for _ in range(runs):
        values = series(rng, prompts)
        if labels is not None:  # prompts of a cluster are alike, run by run
            values = values[labels]
        hits += any(_is_alarm(values[:, :look], labels, by_rank) for look in looks)
    return Outcome(hits=hits, runs=runs)


def _is_alarm(values: Floats, labels: NDArray[np.int64] | None, by_rank: bool) -> bool:
    tested = stats.change_test(values, labels, by_rank=by_rank)
    return tested is not None and tested.p < stats.ALPHA


def trend_cases() -> list[Case]:
    """Quiet series of 30 runs, and series with a planted change."""
    cases: list[Case] = []
    quiet: dict[str, dict[str, object]] = {
        "quiet, 80 % pass": {"series": passes},
        "quiet, 80 % pass, 10 clusters": {"series": passes, "clusters": 10},
        "quiet, 99.7 % pass": {"series": rare_failures},
        "quiet, amounts, runs have noise of their own": {"series": logarithms},
        "quiet, seconds by rank": {"series": logarithms, "by_rank": True},
        "quiet, seconds by rank, heavy tails (t, 3)": {
            "series": partial(logarithms, tails=3),
            "by_rank": True,
        },
        "quiet, log-probability of the first token": {"series": first_tokens},
        "quiet, log-probability of the first token, heavy tails (t, 3)": {
            "series": partial(first_tokens, tails=3)
        },
    }
    for row, options in quiet.items():
        for prompts in (20, 60, 200):
            measure: Callable[..., Outcome] = partial(alarms, prompts=prompts, **options)  # pyright: ignore[reportArgumentType]
            cases.append(Case("trends", row, f"{prompts} prompts", measure, FALSE, 500 * RUNS))
    for drop in (0.05, 0.1, 0.2):
        for prompts in (20, 60, 200):
            measure = partial(
                alarms,
                prompts=prompts,
                series=partial(passes, drop=drop),
                looks=range(RUNS, RUNS + 1),
            )
            row = f"{100 * drop:.0f} points less in the last five: found (no promise)"
            cases.append(Case("trends", row, f"{prompts} prompts", measure, None, 500 * RUNS))
    for prompts in (5, 20, 60):
        measure = partial(
            alarms,
            prompts=prompts,
            series=partial(first_tokens, drop=0.1),
            looks=range(_CHANGE + 1, _CHANGE + 2),
        )
        row = "0.1 less log-probability of the first token: found on the first night (no promise)"
        cases.append(Case("trends", row, f"{prompts} prompts", measure, None, 500 * RUNS))
    return cases
