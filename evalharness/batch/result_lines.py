"""The lines of the results of a batch, as they were fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalharness.batch.open_batch import OpenBatch
from evalharness.batch.request_file import RequestIndex, result_files
from evalharness.batch.wire import ResultLine
from evalharness.errors import StorageError


class ResultLines:
    """The lines of the results of a batch, each request's first one; the others are kept.

    Args:
        batch: whose results were fetched.
        root: the run folder.
        has_failed: see below.

    Attributes:
        has_failed: the batch was refused as a whole.
        duplicates, others: lines that were left out.
    """

    def __init__(self, batch: OpenBatch, root: Path, *, has_failed: bool) -> None:
        self.has_failed = has_failed
        self.duplicates = self.others = 0
        self._batch = batch
        self._paths = result_files(batch.state, root)
        self._other_file = batch.state.path(root, "-other.jsonl")
        self._other_file.unlink(missing_ok=True)  # of a session that was killed
        self._index = RequestIndex(batch.state.path(root, ".jsonl"))

    def body(self, custom_id: str) -> bytes:
        """The body of a request."""
        return self._index.body(custom_id)

    def may_be_all(self, answers: int) -> bool:
        """Whether these can be the whole results of a batch with so many answers.

        A page of a proxy, an empty file, or half a file is not. Its requests would be taken as
        unanswered, and be bought again.
        """
        count, is_known = 0, answers == 0
        for path in self._paths:
            with path.open("rb") as lines:
                for line in lines:
                    count += 1
                    if not is_known:
                        result = self._batch.client.form.read_line(line)
                        is_known = result is not None and result.custom_id in self._index
        return is_known and count >= answers

    def read(self) -> Iterator[tuple[str, ResultLine]]:
        """Each request with the first line of its results, unless it is recorded already."""
        seen: set[str] = set()
        for path in self._paths:
            with path.open("rb") as lines:
                for line in lines:
                    if not line.strip():
                        continue
                    result = self._batch.client.form.read_line(line)
                    if result is None or result.custom_id not in self._index:
                        self.others += 1
                        self._keep(line)
                        continue
                    if result.custom_id in seen:
                        self.duplicates += 1
                        self._keep(line)
                        continue
                    seen.add(result.custom_id)
                    if not result.is_exact:
                        self._keep(line)
                    if result.custom_id in self._batch.intents:
                        yield result.custom_id, result

    def _keep(self, line: bytes) -> None:
        try:
            with self._other_file.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise StorageError(f"cannot write {self._other_file.name}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file of requests."""
        self._index.close()
