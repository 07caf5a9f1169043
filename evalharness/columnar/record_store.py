"""The records of a run as the analysis takes them: keys encoded, outputs numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import Codes, ColumnStore
from evalharness.columnar.text_pool import TextPool
from evalharness.schema import RECORDS

if TYPE_CHECKING:
    import pyarrow as pa

#: The columns that make up an output.
OUTPUTS = ("text", "refusal", "tool_calls_json")
_NUMBERED = (*OUTPUTS, "answer")
_KEYS = tuple(column.name for column in RECORDS if column.type == "key")
_BATCH_ROWS = 131_072


class RecordStore(ColumnStore):
    """Records of a run; :meth:`of_table` makes it of an Arrow table.

    Columns of few distinct values (``key`` in the schema) are encoded. In the columns of outputs
    and answers are numbers of texts, so that two are equal exactly when their codes are.

    Attributes:
        texts: the texts by number.
    """

    def __init__(self) -> None:
        super().__init__(_KEYS)
        self.texts = TextPool()

    @classmethod
    def of_table(cls, table: pa.Table) -> RecordStore:
        """The rows of a table with any columns of the records' schema."""
        import pyarrow as pa

        store = cls()
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            part = pa.Table.from_batches([batch])
            store.add(part, store.encode(part))
        return store

    def encode(self, part: pa.Table) -> dict[str, Codes]:
        """The codes of the keys of rows, as :meth:`add` takes them."""
        names = set(part.column_names)
        return {n: encoder.codes(part[n]) for n, encoder in self.encoders.items() if n in names}

    def add(self, part: pa.Table, codes: dict[str, Codes]) -> None:
        """Add rows, whose outputs and answers are texts, with the columns of those before.

        Args:
            part: the rows.
            codes: those of their keys (:meth:`encode`).
        """
        for index, name in enumerate(part.column_names):
            if name in _NUMBERED:
                part = part.set_column(index, name, self.texts.add(part[name]))
        super().add(part, codes)

    def take(self, name: str, rows: NDArray[Any]) -> list[Any]:
        """The values of a column in a few rows, in their order: texts, not their numbers."""
        values = super().take(name, rows)
        if name not in _NUMBERED:
            return values
        texts = iter(self.texts.take([number for number in values if number is not None]))
        return [None if number is None else next(texts) for number in values]

    def take_numbers(self, name: str, rows: NDArray[Any]) -> NDArray[np.int64]:
        """The numbers of texts in a few rows; 0, that of the empty text, where there is none."""
        return np.array([number or 0 for number in super().take(name, rows)], np.int64)
