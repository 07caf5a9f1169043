"""What requests in batches cost: exactly, and never silently what single ones do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.errors import ConfigError
from evalharness.pricing import Price, PriceBook, PriceRates
from evalharness.pricing.attempts import AttemptCosts
from evalharness.pricing.batch_price import batch_price
from evalharness.pricing.price_files import parse_prices
from evalharness.pricing.row_costs import row_costs, row_costs_as_live
from evalharness.records import Usage
from tests.pricing.test_cost_columns import SCHEMA
from tests.pricing.test_cost_steps import PRICES, USAGES

DAY = date(2026, 11, 1)


def _book(entry: Mapping[str, object], **options: object) -> PriceBook:
    rates = {"prompt": 2, "cached": 0.5, "completion": 4}
    data = {"prices": [{"model": "m", "price_usd_per_mtok": rates, **entry}]}
    return PriceBook([parse_prices(data, "test", table="test")], **options)  # pyright: ignore[reportArgumentType]


@given(PRICES, USAGES, st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_a_discount_is_taken_off_the_cost_exactly(
    price: Price, usage: Usage, discount: float
) -> None:
    """Of every tier and kind of token, and of the fee: the cost is that share, to the last digit.

    Without a discount that is known, only what is free anyway has a cost.
    """
    found = batch_price(price, discount)
    assert found is not None
    assert found.batch_basis is not None
    alone, together = price.cost(usage), found.cost(usage)
    if alone is not None:
        assert together == alone * (1 - Decimal(str(discount)))
    unknown = batch_price(price, None)
    assert (unknown is not None) == price.is_free()


rows = st.lists(
    st.fixed_dictionaries({
        "setting_id": st.just("s"), "provider": st.just("p"), "model": st.sampled_from(["m", "x"]),
        "status": st.just("ok"), "sent_at": st.just(datetime(2026, 7, 1, tzinfo=UTC)),
        "prompt_tokens": st.none() | st.integers(0, 3000),
        "completion_tokens": st.none() | st.integers(0, 3000),
        "cached_tokens": st.integers(0, 10),
        "batch_id": st.sampled_from([None, "b1", "b2"]),
    }), min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(rows)
def test_each_row_has_the_price_of_how_it_was_sent(table: list[dict[str, object]]) -> None:
    """In tables of records and of attempts: as the rows one by one; live, as if all went alone."""
    book = _book({"batch": {"price_usd_per_mtok": {"prompt": 1, "completion": 3}}})
    schema = SCHEMA.append(pa.field("batch_id", pa.string()))
    records = pa.Table.from_pylist(table, schema=schema)
    pico, known = row_costs(records, book)
    live, live_known = row_costs_as_live(records, book)
    outcome = pa.array(["delivered"] * len(table))
    attempts = records.drop_columns(["provider", "model"]).append_column("outcome", outcome)
    attempts = attempts.append_column("reserved_usd", pa.nulls(len(table), pa.decimal128(38, 12)))
    names = {"s": ("p", "m")}
    paid = AttemptCosts(attempts, names, book)
    for index, row in enumerate(table):
        counts = ("prompt_tokens", "completion_tokens", "cached_tokens")
        usage = Usage(**{name: row[name] for name in counts})  # pyright: ignore[reportArgumentType]
        in_batch = row["batch_id"] is not None
        for values, is_known, batch, model in (
            (pico, known, in_batch, row["model"]),
            (live, live_known, False, row["model"]),
            (paid.pico, paid.known, in_batch, "m"),
        ):
            price = book.find("p", str(model), DAY, in_batch=batch)
            cost = None if price is None else price.cost(usage)
            found = Decimal(int(values[index])).scaleb(-12) if is_known[index] else None
            assert found == cost


def test_where_a_batch_price_comes_from() -> None:
    """The price's own rates, then the provider's discount, else it is unknown; each says so."""
    own = _book({"batch_discount": 0.25}, batch_discounts={"p": 0.5})
    found = own.find("p", "m", DAY, in_batch=True)
    assert found is not None
    assert (found.rates.prompt, found.rates.cached) == (Decimal("1.5"), Decimal("0.375"))
    assert found.batch_basis == "batch_discount: 0.25"
    documented = _book({}, batch_discounts={"p": 0.5})
    found = documented.find("p", "m", DAY, in_batch=True)
    assert found is not None
    assert (found.rates.prompt, found.batch_basis) == (
        Decimal(1), "provider.profile.batch.discount=0.5",
    )  # fmt: skip
    assert documented.find("q", "m", DAY, in_batch=True) is None
    alone = documented.find("p", "m", DAY)
    assert alone is not None
    assert (alone.rates.prompt, alone.batch_basis) == (Decimal(2), None)
    assert "batch_discount: 0.5" in documented.missing_hint("q", "m", in_batch=True)


def test_a_discount_that_is_not_exact_is_not_applied() -> None:
    """A price file with one is refused; the provider's leaves the cost unknown."""
    rates = PriceRates(prompt=Decimal("0.000001"), completion=Decimal(1))
    assert batch_price(Price(model="m", rates=rates), 0.5) is None
    for entry, words in (
        ({"price_usd_per_mtok": {"prompt": "0.000001", "completion": 1}, "batch_discount": 0.5},
         "more than six decimals"),
        ({"batch_discount": 1.5}, "a share from 0 to 1"),
        ({"batch_discount": 0.5, "batch": {"price_usd_per_mtok": {}}}, "exclude each other"),
        ({"batch": {"discount": 0.5}}, "unknown key 'discount'"),
        ({"batch": {"tiers": []}}, "price_usd_per_mtok is missing"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            _book(entry)


def test_the_emulator_bills_batches_at_half() -> None:
    """Its shipped price says so, whatever the profile says."""
    book = PriceBook.read()
    alone, batch = (book.find("emulator", "any", DAY, in_batch=b) for b in (False, True))
    assert alone is not None
    assert batch is not None
    usage = Usage(
        prompt_tokens=1000, completion_tokens=100, total_tokens=1100, cached_tokens=200,
        reasoning_tokens=50,
    )  # fmt: skip
    cost = alone.cost(usage)
    assert cost is not None
    assert batch.cost(usage) == cost / 2


def test_batch_prices_of_the_package() -> None:
    """Models of which it knows batch prices; none before they are dated, none by similarity."""
    pytest.importorskip("genai_prices")
    book = PriceBook.read()
    alone, batch = (
        book.find("anthropic", "claude-haiku-4-5", date(2026, 11, 1), in_batch=b)
        for b in (False, True)
    )
    assert alone is not None
    assert batch is not None
    assert batch.rates.prompt * 2 == alone.rates.prompt
    assert batch.rates.completion * 2 == alone.rates.completion
    assert batch.batch_basis == "batch rates of the table"
    assert book.find("anthropic", "claude-haiku-4-5", date(2026, 1, 1), in_batch=True) is None
