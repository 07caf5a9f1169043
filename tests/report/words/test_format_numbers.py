"""Numbers as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.report.words import format_numbers


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_numbers.percent(None), "—"),
        (format_numbers.percent(0.456, 1), "45.6 %"),
        (format_numbers.share_interval([-0.05, 1.2]), "[0, 100]"),
        (format_numbers.strict_percent(None), "—"),
        (format_numbers.strict_percent(0.0), "0 %"),
        (format_numbers.strict_percent(1.0), "100 %"),
        (format_numbers.strict_percent(0.456), "46 %"),
        (format_numbers.strict_percent(0.9983), "99.8 %"),
        (format_numbers.strict_percent(0.0017), "0.2 %"),
        (format_numbers.strict_percent(0.9999), ">99.9 %"),
        (format_numbers.strict_percent(0.0001), "<0.1 %"),
        (format_numbers.share_interval([0.9961, 1.2], strict=True), "[99.6, 100]"),
        (format_numbers.seconds(0.0123), "12.3 ms"),
        (format_numbers.seconds(1.0), "1.00 s"),
        (format_numbers.seconds(2_000.0), "2,000 s"),
        (format_numbers.duration(1042.0), "17 min 22 s"),
        (format_numbers.duration(7200.0), "2 h"),
        (format_numbers.dollars(None), "—"),
        (format_numbers.dollars(0.0), "$0"),
        (format_numbers.dollars(0.00123), "$0.00123"),
        (format_numbers.dollars(2.64e-05), "$0.0000264"),
        (format_numbers.dollars(0.9996), "$1.00"),
        (format_numbers.dollars(Decimal("0.9994")), "$0.999"),
        (format_numbers.dollars(1234.5), "$1,234.50"),
        (format_numbers.dollars(Decimal("0.00631224")), "$0.00631"),
        (format_numbers.dollars(Decimal("-12.345")), "−$12.34"),
        (format_numbers.plain_number(0.0000264), "0.0000264"),
        (format_numbers.plain_number(12_345.6), "12350"),
        (format_numbers.plain_number(float("nan")), "—"),
        (format_numbers.metric_difference("score", -2.2e-17), "0.0 pp"),
        (format_numbers.metric_difference("score", -0.593), "−59.3 pp"),
        (format_numbers.metric_difference("latency_s", 2.6), "+2.6 s"),
        (format_numbers.difference_interval("agreement", [-1.2, 0.5]), "[−100.0, +50.0]"),
        (format_numbers.difference_interval("score", None), "[no interval]"),
        (format_numbers.p_value(0.0004), "p < .001"),
        (format_numbers.p_value(0.28), "p = .28"),
        (format_numbers.parameter_text(None), "not sent"),
        (format_numbers.parameter_text(0.70), "0.7"),
        (format_numbers.parameter_text(True), "true"),
        (format_numbers.instant("2026-11-23T23:18:10+00:00"), "23 November 2026, 23:18 UTC"),
    ],
)
def test_numbers_read_well(shown: str, expected: str) -> None:
    """Units, signs and digits as people write them; a unit never parts from its number."""
    assert shown.replace("\u00a0", " ") == expected


def test_dollars_are_added_up_as_decimals() -> None:
    """Unknown amounts are left out, and no float's error is added."""
    assert format_numbers.add_dollars([Decimal("0.1"), None, Decimal("0.2")]) == Decimal("0.3")
    assert format_numbers.add_dollars([]) == 0


def test_percentile_intervals_say_which_end_is_not_bounded() -> None:
    """In the unit of the percentile; a dash for an end, nothing without any."""
    assert format_numbers.percentile_interval([1.2, 3.771], 2.5) == "[1.20,\u00a03.77]"
    assert format_numbers.percentile_interval([0.0012, None], 0.002) == "[1.20,\u00a0—]"
    assert format_numbers.percentile_interval([None, None], 2.0) == ""
    assert format_numbers.percentile_interval(None, 2.0) == ""


@given(st.floats(0.0, 1.0))
def test_only_all_is_shown_as_all_and_only_nothing_as_nothing(share: float) -> None:
    shown = format_numbers.strict_hundredths(share)
    assert (shown in ("0", "0.0", "100", "100.0")) == (share in (0.0, 1.0))
    assert abs(float(shown.strip("<>")) - 100 * share) <= 0.5 + 1e-9
