"""What a terminal or a page is given of a text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalharness.report.words.sanitize import printable


@given(st.text())
def test_a_text_is_left_alone_only_where_all_of_it_shows(text: str) -> None:
    """One character at a time gives the same as the whole."""
    if "\x1b" not in text:
        assert printable(text) == "".join(map(printable, text))
