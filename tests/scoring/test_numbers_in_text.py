"""Numbers as the world writes them: the right one, or none, never another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.errors import ConfigError
from evalharness.scoring import Sample, parse_answer_spec, parse_scoring
from evalharness.scoring.number_locale import number_locale
from evalharness.scoring.numbers_in_text import canonical_number, find_numbers, last_number_text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\\boxed{7{,}250}", "7250"),
        ("$3{,}5$", "3.5"),
        ("$81\\,000$", "81000"),
        ("$81,\\!000$", "81000"),
        ("4\u00a0321 m", "4321"),
        ("4\u202f321,5", "4321.5"),
        ("65\u2009536", "65536"),
        ("in 2024\u00a0300 people", "300"),  # no group: the first has four digits
        ("7.654.321", "7654321"),
        ("€7.654,30", "7654.3"),
        ("₹12,34,567.50", "1234567.5"),
        ("CHF 4'321.50", "4321.5"),
        ("8_000_000", "8000000"),
        ("８，０００", "8000"),
        ("٤٬٣٢١٫٥", "4321.5"),
        ("81 000", "81000"),
        ("result: \u20138", "-8"),
        ("result: \u22128", "-8"),
        ("x = \u2212 8", "-8"),
        ("-€8", "-8"),
        ("5%\u20138%", "8"),
        ("$5\u2013$8", "8"),
        ("EUR8,000", "8000"),
        ("6 × 10^{-3}", "0.006"),
        ("10⁴", "10000"),
        ("45 m^2", "45"),
        ("8 %", "8"),
        ("5 million", "5000000"),
        ("2.5 billion people", "2500000000"),
        ("-3 thousand", "-3000"),
        ("5万", "50000"),
        ("5 km", "5"),
        ("5 m", "5"),
        ("Room 4 12", "12"),
        ("in 2024 300 people", "300"),
        ("in 2024 100.5 m", "100.5"),
        ("2·10^3", "2000"),
        ("\\frac{1}{2} = 0.5", "0.5"),
    ],
)
def test_right_number(text: str, number: str) -> None:
    assert last_number_text(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "3,14",
        "0,125",
        "1.2.3",
        "10.11.2025",
        "1,000,00",
        "8½",
        "2^10",
        "0x1F",
        "x5,000",
        "1_0",
        "1 234 567.89",
        "12 345",
        "1 234 567",
        "1\u00a0234 567",
        "1__000",
        "12\\,34",
        "1·234",
        "1\u201a234",
        "5 million 300 thousand",
        "5 hundred",
        "1.5M",
        "5k",
        "\\frac{1}{2}",
        "2\\frac{x + 1}{2}",
        "2.5×10\u22123",
        "2.5 x 10-3",
    ],
)
def test_no_number_where_it_is_unclear(text: str) -> None:
    """An earlier number is not taken in its place either."""
    assert last_number_text(f"Of 99 it is {text}") in (None, "99")
    assert last_number_text(text) is None
    score = parse_scoring([{"name": "numeric"}])[0].score(Sample(text=text, target=14))
    assert (score.value, score.answer) == (0, None)


@pytest.mark.parametrize(
    ("locale", "text", "number"),
    [
        ("de", "3,14", "3.14"),
        ("de", "7.654", "7654"),
        ("de_DE", "7.654.321,5", "7654321.5"),
        ("de", "3.5", "3.5"),  # no group of three: a point after all
        ("fr", "7 654,3", "7654.3"),
        ("pt-BR", "7.654,30", "7654.3"),
        ("es-MX", "7,654.30", "7654.3"),
        ("de-CH", "7’654.30", "7654.3"),
        ("en", "7.654", "7.654"),
    ],
)
def test_locale(locale: str, text: str, number: str) -> None:
    """A language says which sign is the decimal one, in texts, answers and text targets."""
    scorer = parse_scoring([{"name": "numeric", "locale": locale}])[0]
    score = scorer.score(Sample(text=text, target=text))
    assert (score.value, score.answer) == (1, number)
    extractor = parse_answer_spec({"last_number": True, "locale": locale})
    assert extractor is not None
    assert extractor.extract(text).answer == number


@pytest.mark.parametrize("spec", [{"locale": "xx"}, {"locale": ""}, {"locale": 3}])
def test_refused_locale(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"scoring\[0\].locale"):
        parse_scoring([{"name": "numeric", **spec}])
    with pytest.raises(ConfigError, match=r"answer.locale"):
        parse_answer_spec({"last_number": True, **spec})
    with pytest.raises(ConfigError, match="needs `last_number`"):
        parse_answer_spec({"choice": True, "locale": "de"})


@pytest.mark.parametrize("locale", ["en", "de", "fr", "de-CH"])
@given(text=st.text(st.sampled_from("07.,'_-–$^{}\\!x10\u00a0 \n½²:a"), max_size=80))
def test_the_last_is_the_last_of_all_in_every_locale(locale: str, text: str) -> None:
    form = number_locale(locale)
    found = [*find_numbers(text, form)]
    assert last_number_text(text, form) == (canonical_number(found[-1]) if found else None)


@given(
    st.integers(0, 10**12),
    st.sampled_from(["{:,}", "{:_}", "\u00a0", "\u202f", "\u2009", "'", "{,}", "\\,"]),
)
def test_a_grouped_number_is_itself(number: int, sign: str) -> None:
    grouped = sign.format(number) if ":" in sign else f"{number:,}".replace(",", sign)
    assert last_number_text(f"It is {grouped} in all.") == str(number)
