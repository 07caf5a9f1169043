"""The report as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.comparison.leaders import DIRECTIONS
from evalharness.report.build_report import Report
from evalharness.report.json import as_json_text

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False,
                                                                      allow_infinity=False),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
)  # fmt: skip


def test_the_json_of_a_report_is_json(sweep: Report, hostile: Report) -> None:
    """Everything the page shows is in the JSON, without NaN."""
    for built in (sweep, hostile):
        assert json.loads(as_json_text(built.data))["leaders"].keys() == DIRECTIONS.keys()


@given(_values)
def test_the_text_is_that_of_the_standard_library(values: Any) -> None:
    """Indentation, escapes and numbers are those of :func:`json.dumps`."""
    assert as_json_text(values) == json.dumps(values, indent=2, ensure_ascii=False) + "\n"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_decimals_keep_every_digit(usd: Decimal) -> None:
    """An amount of money reads back as the same decimal, never in powers of ten."""
    text = as_json_text({"usd": usd})
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == {"usd": usd}
    assert "E" not in text


@pytest.mark.parametrize(
    ("usd", "text"),
    [("0E-12", "0.0"), ("6312240000E-12", "0.00631224"), ("5", "5.0"), ("1E+3", "1000.0")],
)
def test_decimals_look_like_floats(usd: str, text: str) -> None:
    """Zeros at the end are left out, and whole amounts have a decimal point."""
    assert as_json_text(Decimal(usd)) == f"{text}\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("nan"), Decimal("inf")])
def test_what_json_cannot_hold_is_refused(value: float | Decimal) -> None:
    """Unknown values are null, so that NaN is a mistake."""
    with pytest.raises(ValueError, match=r"not JSON compliant|in a report"):
        as_json_text([value])
