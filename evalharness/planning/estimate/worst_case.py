"""The worst case: what the money limit would reserve for all remaining trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from evalharness.chat_api.content_parts import prompt_token_bound
from evalharness.parameters import merge_params, output_limit
from evalharness.planning.estimate.request_sizes import RequestShapes
from evalharness.planning.plan import Plan
from evalharness.pricing import Price
from evalharness.records import Setting


def worst_case(
    plan: Plan,
    remaining: NDArray[np.float64],
    price: Callable[[Setting], Price | None],
) -> Decimal | None:
    """The sum of worst cases of single attempts; None where a price or a bound is missing.

    Args:
        plan: what to ask.
        remaining: how often each prompt (rows) is to be sent under each setting (columns).
        price: of a setting's requests.
    """
    shapes = RequestShapes(plan)
    total = Decimal(0)
    for column, setting in enumerate(plan.settings):
        model_price = price(setting)
        if model_price is None:
            return None
        for (tokens, max_tokens, n), times in _requests(plan, shapes, remaining, column).items():
            if tokens is None and not model_price.is_free():
                return None
            amount = model_price.worst_case(tokens or 0, max_tokens, n)
            if amount is None:
                return None
            total += amount * times
    return total


def _requests(
    plan: Plan, shapes: RequestShapes, remaining: NDArray[np.float64], column: int
) -> Counter[tuple[int | None, int | None, int]]:
    """The number of requests of each bound of prompt tokens, output limit and ``n``."""
    setting = plan.settings[column]
    part_tokens = plan.profile(setting.provider).part_tokens
    counts: Counter[tuple[int | None, int | None, int]] = Counter()
    for row, length in enumerate(shapes.lengths(column)):
        times = int(remaining[row, column])
        if times:
            params = merge_params(setting.params, plan.prompts[row].params)
            tokens = prompt_token_bound(length, plan.prompts[row].messages, part_tokens)
            longest, before = output_limit(params), (plan.prompts[row].turn or 1) - 1
            if tokens is not None and before:  # without a limit the answer itself has no bound
                tokens += before * (longest or 0)
            counts[tokens, longest, params.get("n") or 1] += times
    return counts
