"""Where no price is known and the bill is, the bill is the cost; it is never compared with itself."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from evalharness.analysis.cost import billing, cost_tables
from evalharness.analysis.cost.billing import BilledRecords
from evalharness.analysis.frontier import frontier
from evalharness.analysis.summary import summarise
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import cost_columns
from evalharness.pricing.price_files import parse_prices
from evalharness.report.build.money import prices_used
from tests.analysis.cost.priced_runs import BOOK, Written, usage


def _billed(amount: str | None, **more: object) -> dict[str, object]:
    bill = None if amount is None else Decimal(amount)
    return usage(100, 10, 0, model="unlisted", billed_usd=bill, **more)


def test_the_bill_is_the_cost_in_every_figure() -> None:
    """Total, mean, cost per answer, frontier and summary; the count says where it comes from."""
    rows = [
        _billed("0.002", setting_id="a", prompt_id="p", score=1.0),
        _billed("0.004", setting_id="a", prompt_id="q", score=0.0),
        _billed("0.010", setting_id="b", prompt_id="p", score=1.0),
        _billed(None, setting_id="b", prompt_id="q", score=1.0),
        usage(100, 10, 0, setting_id="c", prompt_id="p", score=1.0, billed_usd=Decimal(1)),
    ]
    run = Written(rows)
    a, b, c = cost_tables.by_setting(run.spending)
    assert (a.total_usd, a.known, a.from_bill, a.unknown) == (Decimal("0.006"), 2, 2, 0)
    assert (a.per_1k_requests, a.per_correct_usd) == (pytest.approx(3.0), pytest.approx(0.006))
    assert (b.total_usd, b.from_bill, b.unknown_reasons) == (Decimal("0.01"), 1, {"no_price": 1})
    assert (c.total_usd, c.from_bill) == (Decimal("0.00014"), 0)
    total = cost_tables.whole_run(run.spending)
    assert (total.from_bill, total.known) == (3, 4)
    summary = summarise(run.frame, run.costs)
    assert [row.cost_usd.from_bill for row in summary] == [2, 1, 0]
    assert [row.cost_usd.total for row in summary] == [a.total_usd, b.total_usd, c.total_usd]
    shown = frontier(summary, cost_tables.by_setting(run.spending))
    assert shown is not None
    assert [point.figures["cost_usd"] for point in shown.settings][:2] == [0.003, 0.01]
    assert np.nansum(run.costs.cost_usd) == pytest.approx(0.01614)
    prices = prices_used(run.costs, BOOK)
    assert [(p.from_bill, p.unpriced) for p in prices.settings.values()] == [(2, 2), (1, 2), (0, 0)]


def test_a_bill_is_not_compared_with_itself() -> None:
    """Only a cost by the price table has a difference to the bill; nothing was saved by a cache."""
    run = Written([_billed("0.002"), usage(100, 10, 0, billed_usd=Decimal("0.00014"))])
    [bill] = billing.by_setting(BilledRecords(run.spending, BOOK))
    assert (bill.billed, bill.compared, bill.computed_minus_billed_usd) == (2, 1, Decimal(0))
    [setting] = cost_tables.by_setting(Written([_billed("0.002", cached_tokens=50)]).spending)
    assert setting.cache.saved_usd is None


def test_a_price_goes_before_the_bill() -> None:
    """With a price, a missing count stays unknown: the bill stands beside, in no total."""
    run = Written([usage(None, 10, 0, billed_usd=Decimal(1))])
    [setting] = cost_tables.by_setting(run.spending)
    assert (setting.total_usd, setting.from_bill) == (None, 0)
    assert setting.unknown_reasons == {"count_missing": 1}


def test_a_share_of_prompt_tokens_is_below_one_where_the_cache_is_outside() -> None:
    """Cached tokens that the provider counts apart are prompt tokens that are billed."""
    entry = {"model": "m", "price_usd_per_mtok": {"prompt": 1, "cached": "0.1", "completion": 4}}
    book = PriceBook([parse_prices({"prices": [entry]}, "t", table="t")],
                     usage_rules={"apart": "cache_outside"})  # fmt: skip
    rows = [usage(100, 10, 300, provider="apart", total_tokens=410)]
    run = Written(rows)
    costs = cost_columns(run.records, book)
    spending = type(run.spending).of(run.frame, costs, book)
    [setting] = cost_tables.by_setting(spending)
    assert setting.total_usd == Decimal(100 + 30 + 40) / 10**6
    assert setting.cache.share == pytest.approx(0.75)
    assert setting.cache.saved_usd == Decimal(270) / 10**6
    assert costs.setting("s").by_rule == 1
    # Without the rule nobody knows.
    assert cost_columns(run.records, BOOK).setting("s").unknown_reasons == {"usage_contradicts": 1}
