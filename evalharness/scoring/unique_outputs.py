"""The distinct outputs of a run, as samples made in batches: memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from evalharness.columnar.hash_table import Hashes, Numbers, mixed
from evalharness.columnar.row_store import Codes, Keys
from evalharness.columnar.spill_file import Place
from evalharness.columnar.text_pool import Texts
from evalharness.errors import DatasetError
from evalharness.records import Status
from evalharness.scoring.base import Sample

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 16_384
# Gives the answer of an output from its status and text.
Answer = Callable[[Status, "str | None"], "str | None"]
KEYS = ("prompt_id", "status", "finish_reason")
TEXTS = ("text", "tool_calls_json", "answer")
_STATUS = {status.value: status for status in Status}


class _About(NamedTuple):
    """What a prompt says about its answers."""

    target: Any
    fields: dict[str, Any]
    tags: list[str]
    messages: list[dict[str, Any]] | None


_NOTHING = _About(None, {}, [], None)


class News(NamedTuple):
    """The outputs of a block that are new, with what their codes stand for."""

    codes: dict[str, Codes]
    values: dict[str, list[str]]  # of the columns of few values, those that are new
    texts: list[tuple[int, Place]]


class Samples:
    """The distinct outputs among records that come block by block; samples are made when asked for.

    Two records are one output when they are equal in prompt, status, finish reason, text and tool
    calls, and in the answer they came with where those count.

    Args:
        prompts: the prompts table.
        keys: what the codes of :data:`KEYS` stand for.
        texts: what the codes of :data:`TEXTS` stand for.
    """

    def __init__(self, prompts: pa.Table, keys: Mapping[str, Keys], texts: Texts) -> None:
        self._told = _read_prompts(prompts)
        self._keys = keys
        self._texts = texts
        self._numbers: Numbers | None = Numbers()
        self._about: dict[int, _About] = {}  # by the code of the prompt
        self._unknown: dict[int, str] = {}  # likewise; those that no prompt table tells of
        self._codes: dict[str, list[Codes]] = {}  # of the outputs, by column
        self._index: list[Codes] = []
        self._count = 0
        self._sent = {name: len(keys[name].values) for name in KEYS}  # values that copies know
        self._blocks_sent = texts.blocks_held

    def __len__(self) -> int:
        return self._count

    def add(self, codes: Mapping[str, Codes]) -> int:
        """Take up a block of records, given by the codes of their columns (negative: null).

        Columns are the same in every block. Returns how many new outputs there are.
        """
        assert self._numbers is not None, "complete"
        number, first = self._numbers.of(*_hashed(codes))
        self._index.append(number.astype(np.int32))
        self._count += len(first)
        for name, column in codes.items():
            self._codes.setdefault(name, []).append(column[first])
        self._look_up()
        return len(first)

    def news(self) -> News:
        """What a copy of the process needs to make the outputs that came with the last block."""
        values = {name: self._keys[name].values[known:] for name, known in self._sent.items()}
        texts = self._texts.news(self._blocks_sent)
        self._sent = {name: known + len(values[name]) for name, known in self._sent.items()}
        self._blocks_sent += len(texts)
        return News({name: blocks[-1] for name, blocks in self._codes.items()}, values, texts)

    def adopt(self, news: News) -> None:
        """In a copy of the process: go on to these outputs; those before are not kept."""
        for name, values in news.values.items():
            self._keys[name].values.extend(values)
        self._texts.adopt(news.texts)
        self._codes = {name: [codes] for name, codes in news.codes.items()}
        self._look_up()

    def complete(self) -> Codes:
        """Say that there are no more records; for every one, which output it is.

        Raises:
            DatasetError: a record of a prompt that the prompts table does not hold.
        """
        self._numbers = None
        self._check()
        index = self._index
        self._index = []
        self._codes = {name: [_joined(blocks)] for name, blocks in self._codes.items()}
        return _joined(index)

    def _check(self) -> None:
        """Refuse records of unknown prompts; those that were left out before do not count."""
        if not self._unknown:
            return
        used = set(np.unique(np.concatenate(self._codes["prompt_id"])).tolist())
        missing = [name for code, name in self._unknown.items() if code in used]
        if missing:
            raise DatasetError(
                f"there are records of prompt {min(missing)!r}, which the prompts table "
                f"does not hold ({len(missing)} such prompts)",
                hint="check the run folder with: evalharness verify RUN",
            )

    def made(self, block: int = -1, answer: Answer | None = None) -> Iterator[list[Sample]]:
        """The outputs that came with a block, in order, up to :data:`BATCH` at a time.

        ``answer`` gives the answer of each from its status and text, in order.
        """
        columns = {name: blocks[block] for name, blocks in self._codes.items()}
        count = len(next(iter(columns.values())))
        for start in range(0, count, BATCH):
            batch = {name: codes[start : start + BATCH] for name, codes in columns.items()}
            yield list(self._samples(batch, answer))

    def one(self, place: int, answer: str | None) -> Sample:
        """One output again, once they are complete."""
        batch = {name: blocks[0][place : place + 1] for name, blocks in self._codes.items()}
        return next(self._samples(batch, lambda status, text: answer))

    def supplied(self, block: int = -1) -> list[str | None]:
        """The answers that the outputs of a block came with."""
        if "answer" not in self._codes:  # no record has one
            return [None] * len(self._codes["prompt_id"][block])
        return self._said(self._codes["answer"][block])

    def _samples(self, codes: Mapping[str, Codes], answer_of: Answer | None) -> Iterator[Sample]:
        nothing: list[str | None] = [None] * len(codes["prompt_id"])
        places: list[int] = codes["prompt_id"].tolist()

        def key(name: str) -> list[Any]:
            if name not in codes:
                return nothing
            values = [*self._keys[name].values, None]  # the code of null is the last one's place
            return [values[code] for code in codes[name].tolist()]

        def text(name: str) -> list[str | None]:
            return self._said(codes[name]) if name in codes else nothing

        prompt_ids = self._keys["prompt_id"].values
        for place, said, status, finish_reason, tool_calls in zip(
            places,
            text("text"),
            key("status"),
            key("finish_reason"),
            text("tool_calls_json"),
            strict=True,
        ):
            target, fields, tags, messages = self._about[place]
            what = _STATUS[status]
            yield Sample(
                text=said,
                target=target,
                status=what,
                finish_reason=finish_reason,
                tool_calls_json=tool_calls,
                answer=None if answer_of is None else answer_of(what, said),
                prompt_id=prompt_ids[place],
                fields=fields,
                tags=tags,
                messages=messages,
            )

    def _said(self, numbers: Codes) -> list[str | None]:
        absent = np.flatnonzero(numbers < 0)
        if len(absent) == len(numbers):  # as tool calls are, as a rule
            return [None] * len(numbers)
        found: list[str | None] = list(self._texts.take(np.maximum(numbers, 0)))
        for place in absent.tolist():
            found[place] = None
        return found

    def _look_up(self) -> None:
        """What the prompts say that came for the first time."""
        for prompt_id in self._keys["prompt_id"].values[len(self._about) :]:
            about = self._told.get(prompt_id)
            if about is None:
                self._unknown[len(self._about)] = prompt_id
            self._about[len(self._about)] = about or _NOTHING


def _joined(blocks: list[Codes]) -> Codes:
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int32)


def _hashed(codes: Mapping[str, Codes]) -> tuple[Hashes, Hashes]:
    """128 bits for each row: prompt and text as they are, the other columns hashed."""
    columns = {name: column.astype(np.uint32).astype(np.uint64) for name, column in codes.items()}
    said = columns.pop("text", np.uint64(0))
    first = (columns.pop("prompt_id") << np.uint64(32)) | said
    second = np.zeros(len(first), np.uint64)
    for column in columns.values():
        second = mixed(second + column + np.uint64(0x9E3779B97F4A7C15))
    return mixed(first), second


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
