"""The pilot: a few randomly chosen trials of every setting that are sent before the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalharness.planning.conversation_rows import is_first
from evalharness.planning.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray


def choose_pilot(plan: Plan, done: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Flag the trials to skip, so that every setting comes to ``size`` recorded trials.

    Trials are taken in the plan's shuffled order, one a prompt as long as there are prompts, then
    further repeats. Recorded trials count, so that a second pilot of the same size sends nothing.
    A conversation is taken as a whole.

    Args:
        plan: the plan.
        done: which trials are recorded, indexed as :meth:`Plan.done_map` returns it.
        size: trials a setting.

    Returns:
        Flags of the same shape: true for every trial that is not in the pilot.
    """
    prompts, settings = len(plan.prompts), len(plan.settings)
    recorded = done.reshape(plan.repeats, prompts, settings).sum(axis=0)
    missing = np.minimum(size, prompts * plan.repeats) - recorded.sum(axis=0)
    is_covered = recorded > 0
    skip = np.ones_like(done)
    rows = {prompt.prompt_id: row for row, prompt in enumerate(plan.prompts)}
    columns = {setting.setting_id: column for column, setting in enumerate(plan.settings)}
    for allow_repeats in (False, True):
        if not np.any(missing > 0):
            break
        for trial in plan.trials(done | ~skip):
            row, column = rows[trial.prompt.prompt_id], columns[trial.setting.setting_id]
            if missing[column] <= 0 or (is_covered[row, column] and not allow_repeats):
                continue
            if not is_first(trial.prompt):
                continue
            turns = plan.conversations.turns(trial.prompt)  # a turn needs those before it
            for turn in turns:
                skip[(trial.repeat * prompts + turn) * settings + column] = False
            is_covered[turns, column] = True
            missing[column] -= len(turns)
            if not np.any(missing > 0):
                break
    return skip
