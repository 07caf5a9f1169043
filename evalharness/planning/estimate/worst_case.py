"""The worst case: what the money limit would reserve for all remaining trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

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
        for (length, max_tokens, n), times in _requests(plan, shapes, remaining, column).items():
            amount = model_price.worst_case(length, max_tokens, n)
            if amount is None:
                return None
            total += amount * times
    return total


def _requests(
    plan: Plan, shapes: RequestShapes, remaining: NDArray[np.float64], column: int
) -> Counter[tuple[int, int | None, int]]:
    """The number of requests of each length, ``max_tokens`` and ``n``."""
    setting = plan.settings[column]
    counts: Counter[tuple[int, int | None, int]] = Counter()
    for row, length in enumerate(shapes.lengths(column)):
        times = int(remaining[row, column])
        if times:
            params = {**setting.params, **plan.prompts[row].params}
            counts[length, params.get("max_tokens"), params.get("n") or 1] += times
    return counts
