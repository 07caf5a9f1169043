"""Whether a parameter changes the text that one seed gives; decisive where seeds are honoured.

The number of different outputs is no evidence once all outputs differ at either value of a
parameter. But where a seed makes the repeats of one value equal, it also makes them equal to those
of another value, unless the parameter has an effect.
"""

from __future__ import annotations

import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.json_values import interval, number
from evalharness.analysis.parameters.effect import SameSeedTexts
from evalharness.analysis.parameters.pooled_outputs import equal_pairs, parameter_key
from evalharness.config.parameter_values import comparison_key

_NO_SEED = comparison_key(None)


def compare_across_values(
    frame: RunFrame,
    ends: list[tuple[list[int], list[int]]],
    *,
    seed: int = 0,
    draws: int = stats.DRAWS,
) -> SameSeedTexts | None:
    """Compare outputs of one seed between two values of a parameter with those within a value.

    Per prompt: agreement of pairs with the same seed under the same value minus that of pairs with
    the same seed under different values; tested by flipping the signs of the prompts' differences.

    Args:
        frame: the run.
        ends: settings at the low and at the high value, equal in everything else but the seed.
        seed: of sign patterns and shuffles.
        draws: how many sign patterns.

    Returns:
        None without two repeats of a seed at both values.

    """
    prompts = len(frame.prompt_ids)
    within_equal, within_pairs = np.zeros(prompts), np.zeros(prompts)
    across_equal, across_pairs = np.zeros(prompts), np.zeros(prompts)
    for low, high in ends:
        of_high = {parameter_key(frame, setting, "seed"): setting for setting in high}
        for setting in low:
            value = parameter_key(frame, setting, "seed")
            other = of_high.get(value)
            if value == _NO_SEED or other is None:
                continue
            equal, pairs = equal_pairs(frame, [setting, other])
            for single in (setting, other):
                own_equal, own_pairs = equal_pairs(frame, [single])
                equal, pairs = equal - own_equal, pairs - own_pairs
                within_equal += own_equal
                within_pairs += own_pairs
            across_equal += equal
            across_pairs += pairs
    with np.errstate(invalid="ignore", divide="ignore"):
        within, across = within_equal / within_pairs, across_equal / across_pairs
    d = within - across
    joined = np.isfinite(d)
    if not joined.any():
        return None
    test = stats.difference_test(d, clusters=frame.clusters, seed=seed, draws=draws)
    p, ci = number(test.p[0]), interval(test.interval(0))
    return SameSeedTexts(
        within=float(within[joined].mean()),
        across=float(across[joined].mean()),
        difference=float(d[joined].mean()),
        ci95=ci,
        p=p,
        n=int(joined.sum()),
    )
