"""The distinct outputs of a run, as samples made in batches: memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evalharness.errors import DatasetError
from evalharness.records import Status
from evalharness.scorers.base import Sample
from evalharness.texts import OUTPUTS, Texts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BATCH = 16_384
# Gives the answer of an output from its status and text.
Answer = Callable[[Status, "str | None"], "str | None"]
_STATUS = {status.value: status for status in Status}
_INT64_SAFE = 2**62


def distinct(
    table: pa.Table, columns: Sequence[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find the rows that are equal in all the columns (null equals null).

    Returns:
        A row of each distinct one, and for every row which distinct one it is.

    """
    import numpy as np

    combined: npt.NDArray[np.int64] = np.zeros(table.num_rows, dtype=np.int64)
    size = 1
    for name in columns:
        codes, count = _codes(table.column(name))
        if size * count >= _INT64_SAFE:
            seen, combined = np.unique(combined, return_inverse=True)
            combined, size = combined.astype(np.int64), len(seen)
        combined, size = combined * count + codes, size * count
    _, first, index = np.unique(combined, return_index=True, return_inverse=True)
    # In the order in which they came, which is how texts are stored.
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[index]


def _codes(column: Any) -> tuple[npt.NDArray[np.int64], int]:
    """Give each value a small integer, and say how many there can be."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_integer(column.type):  # numbers of texts
        numbers = np.asarray(column.fill_null(-1), dtype=np.int64) + 1
        return numbers, int(numbers.max(initial=0)) + 1
    if not pa.types.is_dictionary(column.type):
        column = _wide(column).dictionary_encode()
    chunks: list[Any] = column.unify_dictionaries().chunks
    if not chunks:
        return np.zeros(0, dtype=np.int64), 1
    nulls = len(chunks[0].dictionary)
    parts = [np.asarray(chunk.indices.fill_null(nulls), dtype=np.int64) for chunk in chunks]
    return np.concatenate(parts), nulls + 1


def _wide(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Give the column 64-bit offsets where its texts might not fit into 2 GiB."""
    import pyarrow as pa

    if pa.types.is_string(column.type) and column.nbytes >= 2**31 - 1:
        return column.cast(pa.large_string())
    return column


def _values(column: Any) -> list[Any]:
    """The column as a list; of a dictionary, each value is made once."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()
    codes, _ = _codes(column)
    values: list[Any] = [*column.unify_dictionaries().chunk(0).dictionary.to_pylist(), None]
    return [values[code] for code in codes.tolist()]


class _About(NamedTuple):
    """What a prompt says about its answers."""

    target: Any
    fields: dict[str, Any]
    tags: list[str]
    messages: list[dict[str, Any]] | None


class Samples:
    """Samples of the distinct outputs, made when asked for.

    Args:
        records: the records table.
        prompts: the prompts table.
        first: rows of ``records`` to make samples of.
        texts: what the numbers in columns of outputs stand for, where they hold numbers.

    Raises:
        DatasetError: a record of a prompt that ``prompts`` does not hold.

    """

    def __init__(
        self,
        records: pa.Table,
        prompts: pa.Table,
        first: npt.NDArray[np.intp],
        texts: Texts | None = None,
    ) -> None:
        self._texts = texts
        wanted = ("prompt_id", "text", "status", "finish_reason", "tool_calls_json", "answer")
        present = [name for name in wanted if name in records.column_names]
        narrow = records.select(present)
        for place, name in enumerate(present):
            narrow = narrow.set_column(place, name, _wide(narrow.column(name)))
        self._rows = narrow.take(first)
        self._about = _read_prompts(prompts)
        self.answers: Sequence[str | None] | None = None
        unknown = set(self._rows.column("prompt_id").unique().to_pylist()) - self._about.keys()
        if unknown:
            raise DatasetError(
                f"there are records of prompt {min(map(str, unknown))!r}, which the prompts table "
                f"does not hold ({len(unknown)} such prompts)",
                hint="check the run folder with: evalharness verify RUN",
            )

    def __len__(self) -> int:
        return self._rows.num_rows

    def __getitem__(self, place: int) -> Sample:
        return next(self._made(place, 1))

    def batches(self, answer: Answer | None = None) -> Iterator[tuple[int, list[Sample]]]:
        """All samples in order: place of the first, and up to :data:`BATCH` samples.

        ``answer`` gives the answer of each from its status and text, in order.
        """
        for start in range(0, len(self), BATCH):
            yield start, list(self._made(start, BATCH, answer))

    def supplied_answers(self) -> list[str | None]:
        """List the ``answer`` column; it is absent where no output has an answer."""
        if "answer" not in self._rows.column_names:
            return [None] * len(self)
        return self._rows.column("answer").to_pylist()

    def _made(self, start: int, count: int, answer_of: Answer | None = None) -> Iterator[Sample]:
        import numpy as np

        rows: Any = self._rows.slice(start, count)
        empty: list[None] = [None] * rows.num_rows

        def column(name: str) -> list[Any]:
            if name not in rows.column_names:
                return empty
            if self._texts is not None and name in OUTPUTS:
                numbers = np.asarray(rows.column(name).fill_null(-1), dtype=np.int64)
                found = self._texts.take(np.maximum(numbers, 0))
                return [None if n < 0 else t for n, t in zip(numbers, found, strict=True)]
            return _values(rows.column(name))

        answers = empty if self.answers is None else self.answers[start : start + count]
        for prompt_id, text, status, finish_reason, tool_calls, answer in zip(
            column("prompt_id"),
            column("text"),
            column("status"),
            column("finish_reason"),
            column("tool_calls_json"),
            answers,
            strict=True,
        ):
            about = self._about[prompt_id]
            what = _STATUS[status]
            if answer_of is not None:
                answer = answer_of(what, text)
            yield Sample(
                text=text,
                target=about.target,
                status=what,
                finish_reason=finish_reason,
                tool_calls_json=tool_calls,
                answer=answer,
                prompt_id=prompt_id,
                fields=about.fields,
                tags=about.tags,
                messages=about.messages,
            )


def _read_prompts(prompts: pa.Table) -> dict[str, _About]:
    def column(name: str) -> list[Any]:
        if name not in prompts.column_names:
            return [None] * prompts.num_rows
        return prompts.column(name).to_pylist()

    def decoded(value: str | None) -> Any:
        return None if value is None else msgspec.json.decode(value)

    return {
        prompt_id: _About(decoded(target), decoded(fields) or {}, tags or [], decoded(messages))
        for prompt_id, target, fields, tags, messages in zip(
            column("prompt_id"),
            column("target_json"),
            column("fields_json"),
            column("tags"),
            column("messages_json"),
            strict=True,
        )
    }
