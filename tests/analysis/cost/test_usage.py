"""Tokens and cost of a setting: totals, means and nulls."""

from __future__ import annotations

from decimal import Decimal

from evalharness.analysis.cost.usage import TokenCounts
from tests.analysis.record_frames import cell, frame_of, summary_of


def row(rows, **kwargs):
    return summary_of(frame_of(rows, **kwargs))[0]


def test_unknown_tokens_are_null_not_zero():
    """Totals and means are over the records that report, and n says how many do."""
    rows = [
        {"prompt_id": "p", "text": "x", "prompt_tokens": 10, "cached_tokens": 0},
        {"prompt_id": "p", "text": "x", "prompt_tokens": 20},
    ]
    tokens = row(rows).tokens
    assert tokens["prompt_tokens"] == TokenCounts(total=30, mean=15.0, n=2)
    assert tokens["cached_tokens"] == TokenCounts(total=0, mean=0.0, n=1)
    assert tokens["reasoning_tokens"] == TokenCounts(total=None, mean=None, n=0)


def test_cost():
    """Cost is summed where known; what was billed stands beside it, exactly as billed."""
    rows = cell("ab")
    rows[0] |= {"billed_usd": Decimal("0.000001"), "cost_usd_imported": Decimal("0.002")}
    cost = row(rows).cost_usd
    assert (cost.total, cost.per_1k_requests) == (Decimal("0.002"), 2.0)
    assert cost.billed_total == Decimal("0.000001")
    assert (cost.n, cost.billed_n) == (1, 1)
    assert (cost.unknown, cost.billed_unknown) == (1, 1)
    assert cost.unknown_reasons == {"no_price": 1}


def test_no_price_is_null_cost():
    """Without prices the cost is null, and an imported cost is used when there is one."""
    assert row(cell("ab")).cost_usd.total is None
    rows = [{**r, "cost_usd_imported": Decimal("0.25")} for r in cell("ab")]
    assert row(rows).cost_usd.total == 0.5
