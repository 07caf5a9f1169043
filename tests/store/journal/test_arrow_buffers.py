"""Tables from buffers are the tables pyarrow would make."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from evalharness.store.journal.arrow_buffers import build_table, empty_table

SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("flag", pa.bool_(), nullable=False),
    ]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(st.tuples(st.none() | TEXT, st.lists(TEXT), st.booleans()))


@given(ROWS)
def test_a_table_from_buffers_is_the_table_pyarrow_makes(
    rows: list[tuple[str | None, list[str], bool]],
) -> None:
    """Nulls, empty texts and lists, any Unicode, any length of the flags' bitmap."""
    columns = dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True)) if rows else {}
    columns = {name: list(columns.get(name, ())) for name in SCHEMA.names}
    made = build_table(columns, SCHEMA)
    made.validate(full=True)
    assert made.equals(pa.Table.from_pydict(columns, schema=SCHEMA))


def test_an_empty_table_has_its_schema() -> None:
    """No rows, the columns and the metadata all the same."""
    schema = SCHEMA.with_metadata({"a": "b"})
    assert empty_table(schema).schema.equals(schema, check_metadata=True)
    assert len(empty_table(schema)) == 0
