"""Arrow arrays in memory up to a budget, in a temporary file beyond it.

What is in the file is mapped into memory while somebody holds it, and no longer: only the pages
that are looked at take memory then, and the system can have them back at any time.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where an array stands in the file, in bytes."""

    offset: int
    size: int


class Spill:
    """Arrays under numbers, in the order in which they were given.

    Any number of threads may read at a time; one may add.

    Args:
        budget: how many bytes stay in memory.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: list[Any] = []  # an array, or its place in the file
        self._file: Any = None

    def share(self) -> None:
        """Put everything to come into the file, which copies of this process read, too."""
        self._budget = 0
        self._open()

    def places(self, since: int) -> list[Place]:
        """Where the arrays from a number on stand in the file.

        Raises:
            ValueError: one is in memory, since it came before the arrays were shared.
        """
        found = [kept for kept in self._kept[since:] if isinstance(kept, Place)]
        if len(found) != len(self._kept) - since:
            raise ValueError("not all of them are in the file")
        return found

    def adopt(self, places: list[Place]) -> None:
        """In a copy of the process: go on with arrays that the original has put into the file."""
        self._kept.extend(places)

    def add(self, array: Any) -> int:
        """Keep an array; its number."""
        if self._budget and array.nbytes <= self._budget:
            self._budget -= array.nbytes
            self._kept.append(array)
        else:
            self._budget = 0  # what comes later goes to the file, too: it is read in one direction
            self._kept.append(self._written(array))
        return len(self._kept) - 1

    def __getitem__(self, number: int) -> Any:
        kept = self._kept[number]
        if not isinstance(kept, Place):
            return kept
        import pyarrow as pa

        file: int = self._file.fileno()
        mapped: Any = mmap.mmap(file, kept.size, access=mmap.ACCESS_READ, offset=kept.offset)
        stream: Any = pa.ipc.open_stream(pa.py_buffer(mapped))
        with stream as reader:
            return reader.read_next_batch().column(0)

    def _written(self, array: Any) -> Place:
        import pyarrow as pa

        self._open()
        sink = pa.BufferOutputStream()
        batch = pa.record_batch([array], names=["array"])
        writer: Any = pa.ipc.new_stream(sink, batch.schema)
        with writer:
            writer.write_batch(batch)
        # Files are mapped from the beginning of a page.
        page = mmap.ALLOCATIONGRANULARITY
        offset = -(-self._file.seek(0, 2) // page) * page
        self._file.seek(offset)
        size = self._file.write(sink.getvalue())
        self._file.flush()
        return Place(offset, size)

    def _open(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the arrays
            weakref.finalize(self, self._file.close)
