"""Texts are numbered once, in memory or in a file."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.columnar.text_pool import TextPool


def test_texts_are_numbered_once() -> None:
    """A text keeps its number, wherever it comes again; the empty text is 0."""
    import pyarrow as pa

    held = TextPool(memory_bytes=0)
    many = [f"text {number}" for number in range(20_000)]
    first = held.add(pa.array(["", None, *many]))
    assert first.to_pylist()[:3] == [0, None, 1]
    assert held.add(pa.array(many[::-1])).to_pylist() == first.to_pylist()[:1:-1]
    assert len(held) == 20_001
    assert held.take(np.array([20_000, 0, 5])) == ["text 19999", "", "text 4"]
    again = pa.array(["b", "text 4", "a", None, "b", "é", "a", ""])
    assert held.add(again.slice(1)).to_pylist() == [5, 20_001, None, 20_002, 20_003, 20_001, 0]
    assert held.take([20_001, 20_002, 20_003]) == ["a", "b", "é"]
    assert held.lengths[-3:].tolist() == [1, 1, 1]
    assert held.add(pa.chunked_array([again, again])).to_pylist()[8:] == [
        20_002, 5, 20_001, None, 20_002, 20_003, 20_001, 0,
    ]  # fmt: skip
    held.close()
    assert held.take([20_001]) == ["a"]
    with pytest.raises(ValueError, match="complete"):
        held.add(pa.array(["c"]))


def test_a_text_has_the_same_short_hash_in_every_pool() -> None:
    import pyarrow as pa

    one, other = TextPool(), TextPool(memory_bytes=0)
    one.add(pa.array(["a", None, "b"]))
    other.add(pa.array(["c", "b"]))
    other.add(pa.array(["b", "a", ""]))
    other.close()
    (empty, a, b), (empty_too, c, b_too, a_too) = one.short_hashes, other.short_hashes
    assert (empty, a, b) == (empty_too, a_too, b_too)
    assert len({empty, a, b, c}) == 4
