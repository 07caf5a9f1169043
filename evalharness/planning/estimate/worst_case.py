"""The most that can be spent: what the money limit would set aside for every trial left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from evalharness.planning.estimate.request_sizes import Shapes
from evalharness.planning.plan import Plan
from evalharness.pricing import Price
from evalharness.records import Setting


def worst_case(
    plan: Plan,
    wanted: NDArray[np.float64],
    price: Callable[[Setting], Price | None],
) -> Decimal | None:
    """The sum of worst cases of single attempts; None where a price or a bound is missing.

    Args:
        plan: what to ask.
        wanted: how often each prompt (rows) is to be sent under each setting (columns).
        price: of a setting's requests.
    """
    shapes = Shapes(plan)
    total = Decimal(0)
    for column, setting in enumerate(plan.settings):
        found = price(setting)
        if found is None:
            return None
        for (length, most, n), times in _requests(plan, shapes, wanted, column).items():
            worst = found.worst_case(length, most, n)
            if worst is None:
                return None
            total += worst * times
    return total


def _requests(
    plan: Plan, shapes: Shapes, wanted: NDArray[np.float64], column: int
) -> Counter[tuple[int, int | None, int]]:
    """How many requests there are of each length, ``max_tokens`` and ``n``."""
    setting = plan.settings[column]
    found: Counter[tuple[int, int | None, int]] = Counter()
    for row, length in enumerate(shapes.lengths(column)):
        times = int(wanted[row, column])
        if times:
            params = {**setting.params, **plan.prompts[row].params}
            found[length, params.get("max_tokens"), params.get("n") or 1] += times
    return found
