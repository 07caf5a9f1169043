"""The money of a report on every output form."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from evalharness.analysis.cost.billing import SettingBill
from evalharness.analysis.cost.wasted_spend import AttemptSpending, Spending
from evalharness.report.build.money import Money, PriceEntry, PricesUsed, UnpricedModel
from evalharness.report.build_report import Report
from evalharness.report.json import as_json_text
from evalharness.report.section import ReportData
from evalharness.report.sections.money.money_text import money_lines
from evalharness.report.sections.money.price_text import price_line
from evalharness.report.sections.money.section import MONEY, PRICES
from evalharness.report.sections.run import RUN


def _of(report: Report, money: Money, prices: PricesUsed) -> ReportData:
    """The run with other money."""
    return ReportData({"run": report.data[RUN], "money": money, "prices": prices})


def test_money_and_prices_can_be_read_from_their_json(sweep: Report) -> None:
    """What is decoded from the text equals what was written, to the last digit."""
    money, prices = as_json_text(sweep.data[MONEY]), as_json_text(sweep.data[PRICES])
    assert msgspec.json.decode(money, type=Money) == sweep.data[MONEY]
    assert msgspec.json.decode(prices, type=PricesUsed) == sweep.data[PRICES]


def test_console_and_markdown_have_the_same_sentences_and_tables(sweep: Report) -> None:
    """Sentences come first; tables follow, with fewer rows on a terminal than there are."""
    assert MONEY.console is not None
    assert MONEY.markdown is not None
    items = MONEY.console(sweep.data, 100).items
    lines = money_lines(sweep.data[MONEY], sweep.data[PRICES])
    assert items[0] == "Money"
    assert list(items[1 : 1 + len(lines)]) == [f"  {line}" for line in lines]
    assert any(not isinstance(item, str) for item in items)
    heading, listed, *tables = MONEY.markdown(sweep.data)
    assert heading == "**Money**"
    assert len(listed.splitlines()) == len(lines)
    assert tables[0].startswith("| setting |")


def test_rows_left_out_on_a_terminal_are_counted(sweep: Report) -> None:
    """More settings than a terminal shows are in the JSON, which the last line names."""
    money = sweep.data[MONEY]
    many = replace(money, settings=money.settings * 2)
    assert MONEY.console is not None
    items = MONEY.console(_of(sweep, many, sweep.data[PRICES]), 100).items
    assert "  and 8 more: evalharness report sweep --json" in items


def test_where_everything_is_free_nothing_is_said(sweep: Report) -> None:
    """No heading stands over nothing."""
    money = sweep.data[MONEY]
    whole = replace(money.total, total_usd=Decimal(0), unknown=0)
    prices = replace(sweep.data[PRICES], unpriced=[])
    free = _of(sweep, replace(money, total=whole), prices)
    assert MONEY.console is not None
    assert MONEY.markdown is not None
    assert not MONEY.console(free, 100).items
    assert not MONEY.markdown(free)


def test_a_difference_of_cents_is_added_up_exactly(sweep: Report) -> None:
    """Bills that differ for the same reason are one sentence with the exact sum."""
    money = sweep.data[MONEY]
    bills = [
        SettingBill(
            setting_id=row.setting_id, label=row.label, billed=1, billed_usd=Decimal("0.1"),
            compared=1, computed_minus_billed_usd=Decimal("0.1"), reason="the table is old",
        )
        for row in money.settings[:3]
    ]  # fmt: skip
    lines = money_lines(replace(money, billed=bills), sweep.data[PRICES])
    assert "billed by the provider: $0.3 for 3 records" in lines
    assert "computed $0.3 above the bill in 3 of 3 settings, likely because the table is old" in (
        lines
    )


def test_waste_is_told_by_its_kinds(sweep: Report) -> None:
    """Kinds without attempts are not named; what was set aside is told apart."""
    failed, doubt = Spending(attempts=2, usd=Decimal("0.25")), Spending(attempts=1, unknown=1)
    nothing = Spending(attempts=3, usd=Decimal("0.25"), unknown=1, worst_case_usd=Decimal("0.5"))
    spending = AttemptSpending(
        all=nothing, failed=failed, retried=Spending(), in_doubt=doubt, wasted=nothing
    )
    lines = money_lines(replace(sweep.data[MONEY], attempts=spending), sweep.data[PRICES])
    assert (
        "spent on nothing: $0.25, and at worst $0.5 more (attempts: 2 failed, 1 in doubt)" in lines
    )


def test_prices_say_their_rates_tiers_fee_and_origin(sweep: Report) -> None:
    """Every digit of a price is shown; a model without a price says what to add."""
    entry = msgspec.convert(
        {
            "provider": "p", "model": "*", "valid_from": "2026-06-01", "source": None,
            "free": False, "table": "override", "as_of": None,
            "price_usd_per_mtok": {"prompt": 0.4, "completion": 1.25, "cached": 0.000001},
            "tiers_above_prompt_tokens": [200000], "per_request_usd": 0.001,
        },
        PriceEntry,
    )  # fmt: skip
    assert price_line(entry) == (
        "price of all models of p: $0.4 in, $0.000001 cached, $1.25 out per million tokens, "
        "$0.001 a request (other prices above 200,000 in); set in pricing.prices valid from "
        "2026-06-01, no source given"
    )
    unpriced = UnpricedModel(provider="p", model="m", add="prices: [{model: m}]")
    prices = replace(sweep.data[PRICES], used=[entry], unpriced=[unpriced])
    assert money_lines(sweep.data[MONEY], prices)[-2:] == [
        price_line(entry),
        "no price for m at p; to be added to a file for report --pricing FILE, or on the command "
        "line as pricing.prices=[{model: m}]",
    ]
