"""Arrow arrays in memory up to a budget, in a temporary file beyond it.

An array in the file is mapped into memory only while it is referenced: only pages that are read
take memory then, and the system can reclaim them at any time.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from typing import Any, NamedTuple


class FileRange(NamedTuple):
    """Where an array is in the file, in bytes."""

    offset: int
    size: int


class SpillFile:
    """Numbered arrays, in the order in which they were added.

    Any number of threads may read at a time; one may add.

    Args:
        budget: how many bytes stay in memory.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._arrays: list[Any] = []  # an array, or its range in the file
        self._file: Any = None

    def share(self) -> None:
        """Write all later arrays to the file, which forks of this process can read."""
        self._budget = 0
        self._open()

    def file_ranges(self, since: int) -> list[FileRange]:
        """The ranges of the arrays from a number on.

        Raises:
            ValueError: one is in memory, since it was added before :meth:`share`.
        """
        ranges = [array for array in self._arrays[since:] if isinstance(array, FileRange)]
        if len(ranges) != len(self._arrays) - since:
            raise ValueError("not all of them are in the file")
        return ranges

    def extend(self, ranges: list[FileRange]) -> None:
        """In a fork: add arrays that its parent has written to the file."""
        self._arrays.extend(ranges)

    def add(self, array: Any) -> int:
        """Add an array; its number."""
        if self._budget and array.nbytes <= self._budget:
            self._budget -= array.nbytes
            self._arrays.append(array)
        else:
            self._budget = 0  # later arrays go to the file, too: it is read in one direction
            self._arrays.append(self._write(array))
        return len(self._arrays) - 1

    def __getitem__(self, number: int) -> Any:
        array = self._arrays[number]
        if not isinstance(array, FileRange):
            return array
        import pyarrow as pa

        file: int = self._file.fileno()
        mapped: Any = mmap.mmap(file, array.size, access=mmap.ACCESS_READ, offset=array.offset)
        stream: Any = pa.ipc.open_stream(pa.py_buffer(mapped))
        with stream as reader:
            return reader.read_next_batch().column(0)

    def _write(self, array: Any) -> FileRange:
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
        return FileRange(offset, size)

    def _open(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the arrays
            weakref.finalize(self, self._file.close)
