"""Differences of two texts, and excerpts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalharness.report.html.excerpts import excerpt, word_diff

TEXTS = st.text(st.sampled_from("ab c\n.é"), max_size=60)


@given(TEXTS, TEXTS)
def test_a_word_diff_holds_both_texts(first: str, second: str) -> None:
    """Without the new pieces it is the first text, without the gone ones the second."""
    pieces = word_diff(first, second)
    assert "".join(p.text for p in pieces if p.kind != "added") == first
    assert "".join(p.text for p in pieces if p.kind != "removed") == second
    if first == second:
        assert all(p.kind == "same" for p in pieces)


@given(st.text(max_size=3000), st.integers(0, 3000))
def test_an_excerpt_counts_what_it_leaves_out(text: str, at: int) -> None:
    """Skipped, shown and left characters add up, and the mark stands at the difference."""
    at = min(at, len(text))
    found = excerpt(text, at)
    shown = found.head + found.tail
    assert found.skipped + len(shown) + found.left == len(text)
    assert text[found.skipped :].startswith(shown)
    assert found.skipped + len(found.head) == at


def test_a_diff_keeps_no_scraps() -> None:
    """Two sentences that share an "a" differ as a whole; a shared half stays."""
    first, second = "To sum up a pair of numbers", "In logic a classic puzzle"
    kinds = [p.kind for p in word_diff(first, second)]
    assert kinds == ["removed", "added"]
    kinds = [p.kind for p in word_diff("the answer is 41 today", "the answer is 42 today")]
    assert kinds == ["same", "removed", "added", "same"]
