"""The state of the table of records and its address are the same."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.errors import ConfigError
from evalharness.view.links import records_url
from evalharness.view.queries.record_filter import (
    MARK_STATES,
    STATUSES,
    UNSTABLE,
    BadParameterError,
    RecordFilter,
    split_words,
)

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
SEVERAL = st.lists(TEXTS, max_size=3, unique=True).map(tuple)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
FILTERS = st.builds(
    RecordFilter,
    text=st.just("") | TEXTS,
    settings=SEVERAL,
    prompt=st.just("") | TEXTS,
    statuses=st.lists(st.sampled_from(STATUSES), unique=True).map(tuple),
    finish_reasons=SEVERAL,
    tags=SEVERAL,
    scorer=st.just("") | TEXTS,
    min_score=NUMBERS,
    max_score=NUMBERS,
    min_latency=NUMBERS,
    max_latency=NUMBERS,
    unstable=st.sampled_from(("", *UNSTABLE)),
    regressed=st.just("") | TEXTS,
    every=st.booleans(),
    mark=st.sampled_from(("", *MARK_STATES)),
    reader=st.just("") | TEXTS,
    sort=st.just("") | TEXTS,
    reverse=st.booleans(),
    page=st.integers(1, 10**9),
    columns=SEVERAL,
)


def of(query: str) -> RecordFilter:
    return RecordFilter.of_query(parse_qsl(query, keep_blank_values=True))


@given(FILTERS)
def test_a_filter_is_its_address(shown: RecordFilter) -> None:
    """There and back, whatever the texts are."""
    assert of(shown.query().removeprefix("?")) == shown


def test_the_links_of_other_pages_are_filters() -> None:
    """As the comparison and the run's page write them."""
    url = records_url("r", settings=["s", "t"], prompt="p", regressed="~1/b")
    shown = of(url.partition("?")[2])
    assert shown == RecordFilter(settings=("s", "t"), prompt="p", regressed="~1/b")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("staus=error", "staus"), ("status=eror", "status"), ("page=0", "page"), ("page=-1", "page"),
        ("page=x", "page"), ("page=99999999999999999999999", "page"), ("page=²", "page"),
        ("min_score=nan", "min_score"), ("max_latency=1e999", "max_latency"), ("mark=maybe", "mark"),
        ("min_score=1,5", "min_score"), ("unstable=1", "unstable"), ("reverse=yes", "reverse"),
        ("page=" + "0" * 19 + "1" * 5000, "page"), ("page=1_0", "page"), ("page=1%0A", "page"),
        ("min_score=1_0", "min_score"), ("min_score=%D9%A1", "min_score"), ("max_score=+1+", "max_score"),
        ("max_score=inf", "max_score"), ("min_latency=0x1", "min_latency"),
        ("min_latency=" + "9" * 5000, "min_latency"), ("max_latency=1%0A", "max_latency"),
        ("q=" + "x" * 501, "q"), ("q=" + "x+" * 13, "q"), ("sort=a&sort=b", "sort"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_named(query: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}`"):
        of(query)


def test_an_empty_value_is_as_none() -> None:
    """A form without scripts sends its empty fields."""
    assert of("q=&status=&min_score=&page=") == RecordFilter()
    with pytest.raises(BadParameterError, match="`page`"):
        of("page=0")


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("", (), ()), ("a  b", ("a", "b"), ()), ('"a b" -c', ("a b",), ("c",)), ("-", ("-",), ()),
        ('-"c d" x', ("x",), ("c d",)), ('"open end', ("open end",), ()), ('""', (), ()),
    ],
)  # fmt: skip
def test_words(text: str, wanted: tuple[str, ...], unwanted: tuple[str, ...]) -> None:
    assert RecordFilter(text=text).words() == (wanted, unwanted)


@given(st.text(max_size=40))
def test_no_word_has_a_blank_outside_quotes(text: str) -> None:
    for word in split_words(text):
        assert '"' in word or not any(character.isspace() for character in word)


def test_sorting_goes_up_down_and_back() -> None:
    """And begins at the first page."""
    shown = RecordFilter(page=3).sorted_by("latency_s")
    assert (shown.sort, shown.reverse, shown.page) == ("latency_s", False, 1)
    shown = shown.sorted_by("latency_s")
    assert (shown.sort, shown.reverse) == ("latency_s", True)
    assert shown.sorted_by("latency_s") == RecordFilter()
