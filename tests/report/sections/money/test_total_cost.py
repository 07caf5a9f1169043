"""The cost of a run in a few words."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from evalharness.report.build_report import Report
from evalharness.report.sections.money.section import PRICES
from evalharness.report.sections.money.total_cost import total_cost_text
from evalharness.report.sections.settings.section import SETTINGS


@pytest.mark.parametrize(
    ("total", "billed", "text"),
    [
        ("0.1", None, "$0.80"),
        ("0", None, "$0 (free)"),
        ("0", "0.5", "$0 by the price table, $4.00 billed"),
        ("0.1", "0.1001", "$0.80"),  # a difference of a thousandth
        (None, None, "unknown (no price)"),
    ],
)
def test_a_bill_is_named_where_it_differs(
    sweep: Report, total: str | None, billed: str | None, text: str
) -> None:
    """Eight settings cost the same; what was billed is said where it is more than 1 % off."""
    settings = [
        replace(
            row,
            cost_usd=replace(
                row.cost_usd,
                total=None if total is None else Decimal(total),
                billed_total=None if billed is None else Decimal(billed),
                unknown_reasons={"no_price": 1} if total is None else {},
            ),
        )
        for row in sweep.data[SETTINGS]
    ]
    assert total_cost_text(settings, sweep.data[PRICES]).rstrip("0") == text.rstrip("0")


def test_settings_of_unknown_cost_are_counted(sweep: Report) -> None:
    """A total over some settings says how many are missing, and why."""
    first, *rest = sweep.data[SETTINGS]
    reasons = {"count_missing": 3}
    unknown = replace(first, cost_usd=replace(first.cost_usd, total=None, unknown_reasons=reasons))
    text = total_cost_text([unknown, *rest], sweep.data[PRICES])
    assert text.endswith("; unknown for 1 setting (a count that the price needs is missing)")
