"""Which few trials to send before the rest: a random handful of prompts under every setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalharness.planning.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray


def choose(plan: Plan, done: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Flag what is *not* to be sent, so that every setting comes to ``size`` recorded trials.

    Trials are taken in the plan's shuffled order, one a prompt as long as there are prompts, then
    further repeats. What is recorded already counts, so that asking twice sends nothing more.

    Args:
        plan: what to ask.
        done: which trials are recorded, indexed as :meth:`Plan.done_map` returns it.
        size: trials a setting.

    Returns:
        Flags of the same shape: everything but the pilot.
    """
    prompts, settings = len(plan.prompts), len(plan.settings)
    recorded = done.reshape(plan.repeats, prompts, settings).sum(axis=0)
    missing = np.minimum(size, prompts * plan.repeats) - recorded.sum(axis=0)
    asked = recorded > 0
    keep = np.ones_like(done)
    rows = {prompt.prompt_id: row for row, prompt in enumerate(plan.prompts)}
    columns = {setting.setting_id: column for column, setting in enumerate(plan.settings)}
    for repeats_too in (False, True):
        if not np.any(missing > 0):
            break
        for trial in plan.trials(done | ~keep):
            row, column = rows[trial.prompt.prompt_id], columns[trial.setting.setting_id]
            if missing[column] <= 0 or (asked[row, column] and not repeats_too):
                continue
            keep[(trial.repeat * prompts + row) * settings + column] = False
            asked[row, column] = True
            missing[column] -= 1
            if not np.any(missing > 0):
                break
    return keep
