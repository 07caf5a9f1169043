"""Numbers of 128-bit keys, and of the values of a column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from evalharness.columnar.hash_table import IntHashTable
from evalharness.columnar.row_store import DictionaryEncoder

# Few keys, many of which want the same slot.
KEY = st.tuples(st.sampled_from([0, 1, 2**13, 2**40, 2**40 + 1]), st.integers(0, 3))


def assert_numbered(blocks: list[list[tuple[int, int]]], numbers: IntHashTable) -> None:
    """Hold the numbers of keys to those a dictionary gives."""
    known: dict[tuple[int, int], int] = {}
    for block in blocks:
        keys = np.array(block, np.uint64).reshape(-1, 2)
        found, first = numbers.number(keys[:, 0].copy(), keys[:, 1].copy())
        for key in block:
            known.setdefault(key, len(known))
        assert found.tolist() == [known[key] for key in block]
        places = {key: place for place, key in reversed(list(enumerate(block)))}
        before = len(numbers) - len(first)
        assert first.tolist() == sorted(p for key, p in places.items() if known[key] >= before)
        assert len(numbers) == len(known)


@given(st.lists(st.lists(KEY, max_size=12), max_size=5))
def test_keys_get_the_next_numbers_in_the_order_in_which_they_come(
    blocks: list[list[tuple[int, int]]],
) -> None:
    assert_numbered(blocks, IntHashTable())


def test_numbers_stay_when_the_table_grows() -> None:
    rng = np.random.default_rng(7)
    blocks = [
        [(a, 0) for a in rng.integers(0, 60_000, size).tolist()] for size in (5_000, 1, 40_000)
    ]
    assert_numbered([*blocks, blocks[0]], IntHashTable())


@given(st.lists(st.lists(st.none() | st.sampled_from("abcdé"), max_size=8), max_size=4))
def test_values_of_a_column_have_one_number_in_every_block(blocks: list[list[str | None]]) -> None:
    keys = DictionaryEncoder()
    for block in blocks:
        codes = keys.codes(pa.array(block, pa.string())).tolist()
        assert [None if code < 0 else keys.values[code] for code in codes] == block
    assert keys.values == list(dict.fromkeys(v for block in blocks for v in block if v is not None))
