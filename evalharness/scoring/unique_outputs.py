"""The unique outputs of a run, given out as samples in batches, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from evalharness.columnar.hash_table import Hashes, IntHashTable, splitmix64
from evalharness.columnar.row_store import Codes, DictionaryEncoder
from evalharness.columnar.spill_file import FileRange
from evalharness.columnar.text_pool import TextPool
from evalharness.errors import DatasetError
from evalharness.records import Status
from evalharness.scoring.base import Sample

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_SIZE = 16_384
# Gives the answer of an output from its status and text.
AnswerOf = Callable[[Status, "str | None"], "str | None"]
# Gives the part of an output's text that is scored.
TextOf = Callable[["str | None"], "str | None"]
KEY_COLUMNS = ("prompt_id", "status", "finish_reason")
TEXT_COLUMNS = ("text", "tool_calls_json", "answer")
_STATUS = {status.value: status for status in Status}


class _PromptInfo(NamedTuple):
    """The part of a prompt that scorers see."""

    target: Any
    fields: dict[str, Any]
    tags: list[str]
    messages: list[dict[str, Any]] | None


_NO_PROMPT = _PromptInfo(None, {}, [], None)


class NewOutputs(NamedTuple):
    """The new outputs of a block, with the values that their codes stand for."""

    codes: dict[str, Codes]
    values: dict[str, list[str]]  # new values of the key columns
    texts: list[tuple[int, FileRange]]


class UniqueOutputs:
    """The unique outputs among records that come block by block.

    Two records are one output when they are equal in prompt, status, finish reason, text and tool
    calls, and in their supplied answer where answers are supplied.

    Args:
        prompts: the prompts table.
        encoders: of :data:`KEY_COLUMNS`.
        texts: the pool with the texts of :data:`TEXT_COLUMNS`.
    """

    def __init__(
        self, prompts: pa.Table, encoders: Mapping[str, DictionaryEncoder], texts: TextPool
    ) -> None:
        self._prompts = _read_prompts(prompts)
        self._target_chars = _target_chars(prompts)
        self._longest_target = max(self._target_chars.values(), default=0)
        self._longest_output = 0  # text or tool calls, in the batch that was given out last
        self._encoders = encoders
        self._texts = texts
        self._output_numbers: IntHashTable | None = IntHashTable()
        self._prompt_of_code: dict[int, _PromptInfo] = {}
        self._unknown: dict[int, str] = {}  # ids by code, of prompts that are not in the table
        self._codes: dict[str, list[Codes]] = {}  # of the outputs, by column
        self._index: list[Codes] = []  # of every record, the number of its output
        self._count = 0
        self._values_sent = {name: len(encoders[name].values) for name in KEY_COLUMNS}
        self._blocks_sent = texts.block_count

    def __len__(self) -> int:
        return self._count

    @property
    def has_targets(self) -> bool:
        """Whether any prompt has an expected answer."""
        return any(prompt.target is not None for prompt in self._prompts.values())

    def add(self, codes: Mapping[str, Codes]) -> int:
        """Add a block of records, given by the codes of their columns (negative: null).

        Columns are :data:`KEY_COLUMNS` and :data:`TEXT_COLUMNS`, the answer only where answers are
        supplied. Returns the number of new outputs.
        """
        assert self._output_numbers is not None, "complete"
        numbers, first = self._output_numbers.number(*_hash_rows(codes))
        self._index.append(numbers.astype(np.int32))
        self._count += len(first)
        for name, column in codes.items():
            self._codes.setdefault(name, []).append(column[first])
        self._read_new_prompts()
        return len(first)

    def new_outputs(self) -> NewOutputs:
        """The outputs of the last block, to be sent to a fork (:meth:`add_new_outputs`)."""
        values = {
            name: self._encoders[name].values[known:] for name, known in self._values_sent.items()
        }
        texts = self._texts.new_blocks(self._blocks_sent)
        self._values_sent = {
            name: known + len(values[name]) for name, known in self._values_sent.items()
        }
        self._blocks_sent += len(texts)
        return NewOutputs({name: blocks[-1] for name, blocks in self._codes.items()}, values, texts)

    def add_new_outputs(self, new: NewOutputs) -> None:
        """In a fork: take the outputs of one more block; those of earlier blocks are dropped."""
        for name, values in new.values.items():
            self._encoders[name].values.extend(values)
        self._texts.add_blocks(new.texts)
        self._codes = {name: [codes] for name, codes in new.codes.items()}
        self._read_new_prompts()

    def complete(self) -> Codes:
        """End adding; returns for every record the number of its output.

        Raises:
            DatasetError: a record of a prompt that the prompts table does not hold.
        """
        self._output_numbers = None
        self._check_prompts_known()
        index = self._index
        self._index = []
        self._codes = {name: [_concatenate(blocks)] for name, blocks in self._codes.items()}
        return _concatenate(index)

    def _check_prompts_known(self) -> None:
        """Refuse records of unknown prompts, of those that were added."""
        if not self._unknown:
            return
        used = set(np.unique(np.concatenate(self._codes["prompt_id"])).tolist())
        missing = [name for code, name in self._unknown.items() if code in used]
        if missing:
            raise DatasetError(
                f"there are records of prompt {min(missing)!r}, which the prompts table "
                f"does not hold ({len(missing)} such prompts)",
                hint="the same evalharness run, once more, writes prompts.parquet again",
            )

    def batches(
        self, block: int = -1, answer: AnswerOf | None = None, text: TextOf | None = None
    ) -> Iterator[list[Sample]]:
        """The outputs that came with a block, in order, up to :data:`BATCH_SIZE` at a time.

        ``text`` is called with the text of each, in order, and gives the sample's; ``answer`` with
        the status and that text.
        """
        columns = {name: blocks[block] for name, blocks in self._codes.items()}
        count = len(next(iter(columns.values())))
        for start in range(0, count, BATCH_SIZE):
            batch = {name: codes[start : start + BATCH_SIZE] for name, codes in columns.items()}
            yield list(self._samples(batch, answer, text))

    def sample(self, number: int, answer: str | None, text: TextOf | None = None) -> Sample:
        """One output by its number, after :meth:`complete`; ``text`` as in :meth:`batches`."""
        batch = {name: blocks[0][number : number + 1] for name, blocks in self._codes.items()}
        return next(self._samples(batch, lambda status, output_text: answer, text))

    def longer_than(self, samples: Sequence[Sample], chars: int) -> list[int]:
        """Indexes of the samples whose text, tool calls or target (as JSON) pass ``chars``.

        The samples are those that were given out last.
        """
        if max(self._longest_output, self._longest_target) <= chars:
            return []
        targets = self._target_chars if self._longest_target > chars else None
        return [
            index
            for index, sample in enumerate(samples)
            if ((text := sample.text) is not None and len(text) > chars)
            or ((calls := sample.tool_calls_json) is not None and len(calls) > chars)
            or (targets is not None and targets.get(sample.prompt_id, 0) > chars)
        ]

    def supplied_answers(self, block: int = -1) -> list[str | None]:
        """The answers that the outputs of a block came with."""
        return self._texts_of(self._codes["answer"][block])

    def _samples(
        self, codes: Mapping[str, Codes], answer_of: AnswerOf | None, text_of: TextOf | None
    ) -> Iterator[Sample]:
        prompt_codes: list[int] = codes["prompt_id"].tolist()

        def key(name: str) -> list[Any]:
            values = [*self._encoders[name].values, None]  # null's code is -1, the last index
            return [values[code] for code in codes[name].tolist()]

        prompt_ids = self._encoders["prompt_id"].values
        texts = self._texts_of(codes["text"])
        calls = self._texts_of(codes["tool_calls_json"])
        self._longest_output = max(map(len, filter(None, (*texts, *calls))), default=0)
        for prompt_code, output_text, status, finish_reason, tool_calls in zip(
            prompt_codes,
            texts,
            key("status"),
            key("finish_reason"),
            calls,
            strict=True,
        ):
            target, fields, tags, messages = self._prompt_of_code[prompt_code]
            record_status = _STATUS[status]
            if text_of is not None:
                output_text = text_of(output_text)
            yield Sample(
                text=output_text,
                target=target,
                status=record_status,
                finish_reason=finish_reason,
                tool_calls_json=tool_calls,
                answer=None if answer_of is None else answer_of(record_status, output_text),
                prompt_id=prompt_ids[prompt_code],
                fields=fields,
                tags=tags,
                messages=messages,
            )

    def _texts_of(self, codes: Codes) -> list[str | None]:
        absent = np.flatnonzero(codes < 0)
        if len(absent) == len(codes):  # tool calls mostly are
            return [None] * len(codes)
        values: list[str | None] = list(self._texts.take(np.maximum(codes, 0)))
        for index in absent.tolist():
            values[index] = None
        return values

    def _read_new_prompts(self) -> None:
        """Look up the prompts that came for the first time."""
        for prompt_id in self._encoders["prompt_id"].values[len(self._prompt_of_code) :]:
            prompt = self._prompts.get(prompt_id)
            if prompt is None:
                self._unknown[len(self._prompt_of_code)] = prompt_id
            self._prompt_of_code[len(self._prompt_of_code)] = prompt or _NO_PROMPT


def _concatenate(blocks: list[Codes]) -> Codes:
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int32)


def _hash_rows(codes: Mapping[str, Codes]) -> tuple[Hashes, Hashes]:
    """128 bits for each row: prompt and text as they are, the other columns hashed."""
    columns = {name: column.astype(np.uint32).astype(np.uint64) for name, column in codes.items()}
    first = (columns.pop("prompt_id") << np.uint64(32)) | columns.pop("text")
    second = np.zeros(len(first), np.uint64)
    for column in columns.values():
        second = splitmix64(second + column + np.uint64(0x9E3779B97F4A7C15))
    return splitmix64(first), second


def _target_chars(prompts: pa.Table) -> dict[str, int]:
    """How long the targets of prompts are, as JSON."""
    import pyarrow.compute

    pc: Any = pyarrow.compute
    if "target_json" not in prompts.column_names:
        return {}
    chars: Any = pc.fill_null(pc.utf8_length(prompts.column("target_json")), 0)
    ids: Any = prompts.column("prompt_id")
    return dict(zip(ids.to_pylist(), chars.to_pylist(), strict=True))


def _read_prompts(prompts: pa.Table) -> dict[str, _PromptInfo]:
    def column(name: str) -> list[Any]:
        if name not in prompts.column_names:
            return [None] * prompts.num_rows
        return prompts.column(name).to_pylist()

    def decode_json(value: str | None) -> Any:
        return None if value is None else msgspec.json.decode(value)

    return {
        prompt_id: _PromptInfo(
            decode_json(target), decode_json(fields) or {}, tags or [], decode_json(messages)
        )
        for prompt_id, target, fields, tags, messages in zip(
            column("prompt_id"),
            column("target_json"),
            column("fields_json"),
            column("tags"),
            column("messages_json"),
            strict=True,
        )
    }
