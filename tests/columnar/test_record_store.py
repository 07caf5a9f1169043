"""An Arrow table of records as a store: keys encoded, outputs numbered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from evalharness.columnar import record_store
from evalharness.columnar.record_store import RecordStore

TABLE = pa.table(
    {
        "setting_id": ["a", "b", "a"],
        "text": ["x", None, "x"],
        "answer": [None, "x", ""],
        "seed": pa.nulls(3, pa.int64()),
        "latency_s": [1.0, None, 2.0],
    }
)


@pytest.mark.parametrize("rows", [1, 2, 131_072])
def test_a_store_holds_the_rows_of_a_table(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are read back as they were; a column without a value counts as absent."""
    monkeypatch.setattr(record_store, "_BATCH_ROWS", rows)
    store = RecordStore.of_table(TABLE)
    assert (store.num_rows, store.part_count) == (3, -(-3 // rows))
    assert set(store.column_names) == {"setting_id", "text", "answer", "latency_s"}
    for name in TABLE.column_names:
        assert store.take(name, np.array([2, 1])) == TABLE[name].take([2, 1]).to_pylist()
    assert store.codes("setting_id").tolist() == [0, 1, 0]
    assert store.encoders["setting_id"].values == ["a", "b"]
    assert store["latency_s"].to_pylist() == [1.0, None, 2.0]


def test_equal_texts_have_equal_numbers() -> None:
    """Texts of all columns are numbered together; 0 is the empty text, -1 the code of null."""
    store = RecordStore.of_table(TABLE)
    number = int(store.codes("text")[0])
    assert store.codes("text").tolist() == [number, -1, number]
    assert store.codes("answer").tolist() == [-1, number, 0]
    assert store.take_numbers("text", np.array([0, 1])).tolist() == [number, 0]
    assert store.texts.take([number]) == ["x"]


def test_a_column_that_is_absent_is_null() -> None:
    """Keys and texts that a table lacks have the code of null in every row."""
    store = RecordStore.of_table(TABLE)
    assert store.codes("refusal").tolist() == store.codes("model").tolist() == [-1] * 3
    assert store.take("refusal", np.array([0])) == [None]
    empty = RecordStore.of_table(TABLE.slice(0, 0))
    assert (empty.num_rows, empty.column_names) == (0, [])
    assert [block.num_rows for block in empty.tables(["text"])] == [0]
