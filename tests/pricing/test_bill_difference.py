"""The likely reason why a bill differs from the computed cost."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.pricing.bill_difference import likely_reason

COSTS = [0.052000000001, 0.104000000001]


@pytest.mark.parametrize(
    ("bills", "words"),
    [
        (COSTS, None),
        ([0.052, 0.104], "rounded"),
        ([0.0572, 0.1144], "1.1 times"),
        ([0, 0], "nothing was billed"),
        ([0.06, 0.104], "no single price"),
    ],
)
def test_reason_of_a_difference(bills: list[float], words: str | None) -> None:
    """A bill that differs from the table gets its likely reason."""
    reason = likely_reason(np.array(COSTS), np.array(bills, float), np.zeros(2, np.bool_))
    assert words in (reason or "") if words else reason is None


def test_reason_in_special_tokens() -> None:
    """A difference in records with cached tokens alone points at their price."""
    computed = np.array([0.000412000001, 0.000092000001, 0.000036000001])
    billed = np.array([0.000412000001, 0.000412000001, 0.0005])
    reason = likely_reason(computed, billed, np.array([False, True, True]))
    assert "cached or reasoning" in (reason or "")
