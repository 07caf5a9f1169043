"""Prompt tokens of the answers that later turns of a conversation hold, before they are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from evalharness.planning.estimate.output_tokens import OutputTokens, max_output_tokens
from evalharness.planning.estimate.prompt_tokens import PromptTokens
from evalharness.planning.plan import Plan

Floats = NDArray[np.float64]


def add_earlier_answers(
    part: PromptTokens, plan: Plan, columns: Sequence[int], remaining: Floats, outputs: OutputTokens
) -> PromptTokens:
    """The tokens with those of earlier answers: none at least, of full length at most.

    An answer is expected to be as long as those recorded; without any, half of what it may be.

    Args:
        part: of the prompts without these answers, each to be sent ``remaining`` times.
        plan: what to ask.
        columns: of the settings that the part is of.
        remaining: one a prompt.
        outputs: tokens of recorded answers.
    """
    if not plan.conversations.exist:
        return part
    before = np.array([(prompt.turn or 1) - 1 for prompt in plan.prompts], np.float64)
    left = remaining > 0
    if not np.any(before[left]):
        return part
    longest = max_output_tokens(plan)[:, list(columns)].max(axis=1)
    own = np.isin(outputs.setting, columns)
    if own.any():
        expected = np.full(len(before), float(outputs.completion[own].mean()))
    else:
        expected = longest / 2
    later = left & (before > 0)
    if not np.isfinite(longest[later]).all():
        return structs.replace(part, basis="unbounded")
    expected, longest = (np.where(later, values, 0.0) for values in (expected, longest))
    times = before * remaining
    return structs.replace(
        part,
        per_prompt=part.per_prompt + before * expected,
        expected=part.expected + float((times * expected).sum()),
        high=part.high + float((times * np.maximum(longest, expected)).sum()),
    )
