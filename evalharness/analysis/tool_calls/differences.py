"""How the tool calls of a setting differ from the reference's: each prompt's difference, and tests.

Fewer calls, or more of them broken, are a shift of all prompts: the paired tests of shares find it.
Other decisions at the same rate are not; the permutation test finds these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evalharness.analysis.data.encode import Floats
from evalharness.analysis.equality.kernel import PromptKernel
from evalharness.analysis.equality.permutation_test import equality_test
from evalharness.analysis.tool_calls.call_output import CallOutput


class PromptAnswers(NamedTuple):
    """The answers of both sides to a prompt with tools."""

    number: int
    side: list[CallOutput]
    reference: list[CallOutput]


def smallest_of(tests: Sequence[float | None]) -> float | None:
    """The p of "none of these differs" (Bonferroni); None where nothing was tested."""
    known = [p for p in tests if p is not None]
    return min(1.0, len(known) * min(known)) if known else None


def share_called(outputs: Sequence[CallOutput]) -> float:
    """The share of answers that end by calling tools."""
    return sum(output.is_called for output in outputs) / len(outputs)


def call_rates(prompts: Sequence[PromptAnswers], total: int) -> Floats:
    """The share of answers that call less the reference's; one a joined prompt, NaN unknown.

    Args:
        prompts: those that were answered.
        total: how many joined prompts there are.
    """
    rates = np.full(total, np.nan)
    for prompt in prompts:
        rates[prompt.number] = share_called(prompt.side) - share_called(prompt.reference)
    return rates


def valid_rates(prompts: Sequence[PromptAnswers], total: int) -> Floats:
    """The share of calling answers that are valid less the reference's, where both call.

    Args:
        prompts: those that were answered.
        total: how many joined prompts there are.
    """
    rates = np.full(total, np.nan)
    for prompt in prompts:
        shares = [
            [output.is_valid for output in outputs if output.is_called]
            for outputs in (prompt.side, prompt.reference)
        ]
        if all(shares):
            side, reference = (sum(valid) / len(valid) for valid in shares)
            rates[prompt.number] = side - reference
    return rates


def decisions_p(prompts: Sequence[PromptAnswers], seed: int, pairs: int) -> float | None:
    """The p of "answers of different sides agree as those of one do"; None with single answers.

    Args:
        prompts: those that were answered.
        seed: of the permutations.
        pairs: how many tests share the work of a report.
    """
    kernels = [
        PromptKernel(_agreement([*prompt.side, *prompt.reference]), len(prompt.side))
        for prompt in prompts
        if min(len(prompt.side), len(prompt.reference)) >= 2
    ]
    return equality_test(kernels, seed=seed, pairs=pairs).p if kernels else None


def _agreement(outputs: Sequence[CallOutput]) -> Floats:
    """1 where two answers do the same: no call, a valid one, or one that cannot be executed."""
    kinds = np.array([output.is_called + output.is_valid for output in outputs])
    return (kinds[:, None] == kinds[None, :]).astype(np.float64)
