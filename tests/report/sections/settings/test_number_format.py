"""Numbers in the narrow columns of a terminal."""

from __future__ import annotations

from evalharness.report.sections.settings.number_format import (
    SHORT_COUNT,
    TIME,
    dollar_amount,
    share_with_interval,
)


def test_small_amounts_are_not_rounded_to_nothing() -> None:
    """A column of costs shows what there is: "0.0000" is no amount."""
    assert [dollar_amount(x) for x in (0, 0.0000275, 0.5, 12.345)] == [
        "0", "0.0000275", "0.5", "12.35",
    ]  # fmt: skip


def test_times_are_in_milliseconds_where_all_are_short() -> None:
    """One long time keeps the whole column in seconds."""
    assert TIME.console_unit([0.0, 0.25, 0.5]) == ("ms", 1000.0)
    assert TIME.console_unit([0.25, 1.0]) == ("s", 1.0)
    assert TIME.console_unit([]) == ("s", 1.0)


def test_unknown_is_a_dash_and_intervals_stay_within_0_and_100() -> None:
    """Nothing unknown is 0; a t interval may reach beyond what a share can be."""
    assert share_with_interval(None, None) == "—"
    assert share_with_interval(0.9, [0.7, 1.2]) == "90% [70,100]"
    assert share_with_interval(0.9, None) == "90%"


def test_many_tokens_are_in_thousands() -> None:
    """From ten thousand up."""
    assert [SHORT_COUNT.console(n) for n in (9_999, 10_000, 123_456)] == ["9999", "10.0k", "123.5k"]
