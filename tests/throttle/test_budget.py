"""The money limit: reserved, spent, in doubt."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.errors import ConfigError
from evalharness.throttle.budget import Budget

USD = st.decimals(min_value=0, max_value=2, places=12)


@settings(max_examples=300, deadline=None)
@given(
    cap=st.decimals(min_value=0, max_value=10, places=9),
    steps=st.lists(
        st.tuples(st.sampled_from(["reserve", "settle", "doubt", "unknown"]), USD, st.randoms()),
        max_size=120,
    ),
)
def test_the_cap_holds_under_any_interleaving(cap, steps):
    """Reserve, settle and doubt in any order: nothing sent can bring the bill above the cap."""
    guard = Budget(cap)
    open_: dict[int, Decimal] = {}
    bill = held = Decimal(0)
    for key, (what, amount, rng) in enumerate(steps):
        if what == "reserve":
            fits = bill + held + sum(open_.values(), Decimal(0)) + amount <= cap
            assert guard.reserve(key, amount) is fits
            if fits:
                open_[key] = amount
        elif open_:
            chosen = rng.choice(sorted(open_))
            worst = open_.pop(chosen)
            if what == "settle":
                bill += min(worst, amount)
                guard.settle(chosen, min(worst, amount))
            elif what == "unknown":
                bill += worst
                guard.settle(chosen, None)
            else:
                held += worst
                guard.settle_in_doubt(chosen)
        assert guard.spent_usd == bill
        assert guard.in_doubt_usd == held
        assert guard.reserved_usd == sum(open_.values(), Decimal(0))
        assert guard.spent_usd + guard.in_doubt_usd + guard.reserved_usd <= cap


def test_sums_are_exact():
    """A million charges of a billionth of a cent add up to the last digit."""
    guard = Budget(Decimal("0.000000300000"))
    for key in range(3):
        assert guard.reserve(key, Decimal("0.000000100000"))
    assert not guard.reserve(3, Decimal("0.000000000001"))
    assert guard.reserved_usd == Decimal("0.0000003")


def test_unknown_charges_count_with_their_worst_case():
    """An unknown, negative or infinite charge counts with its worst case."""
    guard = Budget(Decimal(10))
    for key, charge in enumerate([None, Decimal(-1), Decimal("NaN"), Decimal("Infinity")]):
        guard.reserve(key, Decimal(1))
        guard.settle(key, charge)
    assert guard.spent_usd == 4


def test_a_limit_without_a_price_is_a_configuration_error():
    """With a cap an unknown price stops before sending, and the message holds the line to add."""
    guard = Budget(Decimal(1))
    with pytest.raises(ConfigError, match="qwen-plus") as caught:
        guard.reserve("a", None, model="qwen-plus")
    assert "{model: qwen-plus, price_usd_per_mtok: {prompt" in str(caught.value.hint)
    assert guard.reserved_usd == 0


def test_without_a_limit_the_books_are_kept():
    """No cap: everything passes, known amounts add up, unpriced attempts count nothing."""
    guard = Budget(None)
    assert guard.reserve("a", Decimal("1e6"))
    assert guard.reserve("b", None)
    assert guard.reserve("c", None)
    guard.settle("a", Decimal("0.5"))
    guard.settle("b", Decimal("0.25"))
    guard.settle_in_doubt("c")
    assert guard.spent_usd == Decimal("0.75")
    assert not guard.is_exhausted(Decimal(10**9))


def test_exhausted_tells_waiting_from_the_end():
    """While a reservation may still free room the budget is full, not exhausted."""
    guard = Budget(Decimal(3), spent_usd=Decimal(1), in_doubt_usd=Decimal(1))
    assert guard.reserve("a", Decimal("0.8"))
    assert not guard.reserve("b", Decimal("0.8"))
    assert not guard.is_exhausted(Decimal("0.8"))
    guard.settle("a", Decimal("0.5"))
    assert guard.is_exhausted(Decimal("0.8"))
    assert not guard.is_exhausted(Decimal("0.5"))


def test_a_bill_above_its_worst_case_is_counted_in_full():
    """The truth is kept even where the estimate was wrong, and nothing more is let through."""
    guard = Budget(Decimal(1))
    guard.reserve("a", Decimal("0.5"))
    guard.settle("a", Decimal(2))
    assert guard.spent_usd == 2
    assert not guard.reserve("b", Decimal(0))
    assert guard.is_exhausted(Decimal(0))


def test_keys_are_used_once():
    """A key in use and a key never reserved are programming errors, said loudly."""
    guard = Budget(None)
    guard.reserve("a", Decimal(1))
    with pytest.raises(ValueError, match="reserved already"):
        guard.reserve("a", Decimal(1))
    guard.settle("a", Decimal(1))
    with pytest.raises(KeyError):
        guard.settle("a", Decimal(1))
    with pytest.raises(ValueError, match="at least 0"):
        guard.reserve("b", Decimal(-1))
