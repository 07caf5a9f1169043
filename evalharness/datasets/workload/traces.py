"""The rows of a recorded trace: made prompts of its lengths, due at its times.

A prompt consists of the trace's blocks. The text of a block follows from its id, so that prompts
that begin with the same ids begin with the same bytes, and a prefix cache serves them as it did
when the trace was recorded.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.config.workload import TRACE_DUE, ExactOutputField, TraceConfig, WorkloadConfig
from evalharness.datasets.rows import Row
from evalharness.datasets.workload.generate import (
    ASKED_OUTPUT,
    ASKED_PROMPT,
    check_total,
    output_params,
)
from evalharness.datasets.workload.salts import SALT, SALT_WORDS, SOURCE
from evalharness.datasets.workload.token_counts import LinearCounts, TextCounter, fit_text
from evalharness.datasets.workload.tokenizer_files import open_counter
from evalharness.datasets.workload.trace_files import TraceRequest, read_trace
from evalharness.datasets.workload.words import draw_words
from evalharness.errors import DatasetError

#: Column of a row whose prompt has another length than in the trace: the length there.
TRACED_PROMPT = "trace_prompt_tokens"
_KEY = "dataset.workload.trace"
# At the beginning, where every prompt has it, because the last block is of its id alone.
_TASK = "Write about all of this, and do not stop early."
_CACHED_BLOCKS = 10_000  # some 30 MB of text


class TraceCounts(NamedTuple):
    """What was read of a trace, and what became of it.

    Attributes:
        requests: of the window, up to the largest number that was asked for.
        chosen: that are rows.
        truncated, lengthened: of these, with a prompt of another length.
        skipped_long, skipped_short: that are no rows.
        first_s, last_s: when the first and the last that is a row came; seconds from the first of
            the file.
        more: whether the file goes on.
    """

    requests: int
    chosen: int
    truncated: int
    lengthened: int
    skipped_long: int
    skipped_short: int
    first_s: float
    last_s: float
    more: bool


class _Chosen(NamedTuple):
    """A request, its prompt's length as it is to be, and its time in seconds."""

    request: TraceRequest
    prompt: int
    at_s: float


def trace_rows(
    config: WorkloadConfig,
    trace: TraceConfig,
    root: Path,
    counts: LinearCounts | None = None,
    exact_output: Sequence[ExactOutputField] = (),
    *,
    limit: int | None = None,
) -> Iterator[Row]:
    """The rows, in the order of the trace.

    Args:
        config: the workload.
        trace: its trace.
        root: folder that relative paths start from.
        counts: as measured on the server; None guesses.
        exact_output: the fields that are sent where outputs have an exact length.
        limit: at most so many.

    Raises:
        DatasetError: the trace cannot be read or replayed.
    """
    chosen, _ = select_requests(config, trace, root, counts, limit=limit)
    counter = open_counter(config.tokenizer, root)
    texts = _Texts(config, trace, counts or LinearCounts.guessed(counter), counter)
    for request, prompt, at_s in chosen:
        text, salt = texts.prompt(request, prompt)
        columns: dict[str, Any] = {
            "id": f"t{request.line:07d}",
            "prompt": text,
            "params": output_params(config, request.output_tokens, exact_output),
            ASKED_PROMPT: prompt,
            ASKED_OUTPUT: request.output_tokens,
            TRACE_DUE: at_s,
        }
        if prompt != request.prompt_tokens:
            columns[TRACED_PROMPT] = request.prompt_tokens
        if salt:
            columns[SALT] = salt
        yield Row(f"{SOURCE}{trace.path}:{request.line}", columns)


def select_requests(
    config: WorkloadConfig,
    trace: TraceConfig,
    root: Path,
    counts: LinearCounts | None = None,
    *,
    limit: int | None = None,
) -> tuple[list[_Chosen], TraceCounts]:
    """The requests that become rows, and how many did not or were changed.

    The file is read up to the end of what is wanted. Arguments as of :func:`trace_rows`.

    Raises:
        DatasetError: the trace cannot be read, or has requests that cannot be sent as they are.
    """
    window, more = _window(config, trace, root, limit)
    shortest = 1 if counts is None else math.ceil(counts.overhead + counts.per_unit)
    _refuse_misfits(config, trace, [row.request for row in window], shortest)
    chosen: list[_Chosen] = []
    truncated = lengthened = skipped_long = skipped_short = total = 0
    for row in window:
        wanted = row.prompt
        if _is_long(config, row.request):
            if trace.on_long == "skip":
                skipped_long += 1
                continue
            wanted, truncated = (config.max_context or 0) - row.request.output_tokens, truncated + 1
        elif wanted < shortest:
            if trace.on_short == "skip":
                skipped_short += 1
                continue
            wanted, lengthened = shortest, lengthened + 1
        total += wanted
        check_total(total, f"{trace.path}:{row.request.line}")
        chosen.append(row._replace(prompt=wanted))
    if not chosen:
        raise DatasetError(
            f"{trace.path}: none of {len(window)} requests is left: {skipped_long} are too long "
            f"for dataset.workload.max_context, {skipped_short} too short",
            hint=f"a larger dataset.workload.max_context, or {_KEY}.on_long=truncate",
        )
    return chosen, TraceCounts(
        len(window), len(chosen), truncated, lengthened, skipped_long, skipped_short,
        chosen[0].at_s, chosen[-1].at_s, more,
    )  # fmt: skip


def prompt_lengths(config: WorkloadConfig, trace: TraceConfig, root: Path) -> list[int]:
    """How long the prompts of a trace will be, in tokens, where nothing is measured yet."""
    chosen, _ = select_requests(config, trace, root)
    return [row.prompt for row in chosen]


def _window(
    config: WorkloadConfig, trace: TraceConfig, root: Path, limit: int | None
) -> tuple[list[_Chosen], bool]:
    """The requests of the window, at most as many as are wanted; whether the file goes on."""
    sizes = [size for size in (config.requests, limit) if size is not None]
    most = min(sizes, default=None)
    window: list[_Chosen] = []
    first: int | None = None
    last_s = 0.0
    for request in read_trace(trace, root):
        first = request.at_ns if first is None else first
        last_s = (request.at_ns - first) / 1e9
        if last_s < trace.from_s:
            continue
        if len(window) == most or (trace.to_s is not None and last_s >= trace.to_s):
            return _some(window, trace, last_s), True
        window.append(_Chosen(request, request.prompt_tokens, last_s))
    return _some(window, trace, last_s), False


def _some(window: list[_Chosen], trace: TraceConfig, last_s: float) -> list[_Chosen]:
    """The window, which is not empty."""
    if window:
        return window
    end = "its end" if trace.to_s is None else f"{trace.to_s:g} s"
    raise DatasetError(
        f"{trace.path}: no request from {trace.from_s:g} s to {end}; the last one read came at "
        f"{last_s:g} s",
        hint=f"{_KEY}.from_s and to_s are seconds from the first request of the file",
    )


def _is_long(config: WorkloadConfig, request: TraceRequest) -> bool:
    tokens = request.prompt_tokens + request.output_tokens
    return config.max_context is not None and tokens > config.max_context


def _refuse_misfits(
    config: WorkloadConfig, trace: TraceConfig, requests: Sequence[TraceRequest], shortest: int
) -> None:
    """Refuse requests that cannot be sent as they are, where nothing says what becomes of them."""
    long = [request for request in requests if _is_long(config, request)]
    most = config.max_context
    if long and trace.on_long == "refuse":
        raise DatasetError(
            f"{trace.path}: {len(long)} of {len(requests)} requests are longer than the context of "
            f"{most} tokens (dataset.workload.max_context); the first is line {long[0].line}, of "
            f"{long[0].prompt_tokens} prompt tokens and {long[0].output_tokens} of output",
            hint=f"{_KEY}.on_long=truncate cuts their prompts, on_long=skip leaves them out",
        )
    if long and trace.on_long == "truncate":
        for request in long:
            if request.output_tokens + shortest > (most or 0):
                raise DatasetError(
                    f"{trace.path}:{request.line}: {request.output_tokens} tokens of output leave "
                    f"no room for a prompt in the context of {most} "
                    "(dataset.workload.max_context)",
                    hint=f"{_KEY}.on_long=skip leaves out what is too long",
                )
    short = [request for request in requests if request.prompt_tokens < shortest]
    if short and trace.on_short == "refuse":
        raise DatasetError(
            f"{trace.path}: {len(short)} of {len(requests)} requests have shorter prompts than the "
            f"{shortest} tokens that the server counts for a prompt of one word; the first is line "
            f"{short[0].line}, of {short[0].prompt_tokens}",
            hint=f"{_KEY}.on_short=lengthen makes them so long, on_short=skip leaves them out",
        )


class _Texts:
    """The texts of prompts, block by block."""

    def __init__(
        self,
        config: WorkloadConfig,
        trace: TraceConfig,
        counts: LinearCounts,
        counter: TextCounter,
    ) -> None:
        self._seed = config.seed
        self._block_tokens = trace.block_tokens
        self._counts = counts
        self._counter = counter
        salt = draw_words(random.Random(f"evalharness trace {config.seed}"), SALT_WORDS)
        self._salt = salt.split() if config.salt else []
        self._beginning = [*self._salt, *_TASK.split()]
        self._cached = lru_cache(_CACHED_BLOCKS)(self._block)

    def prompt(self, request: TraceRequest, tokens: int) -> tuple[str, str]:
        """The prompt of a request with so many tokens, and the words of it that are its salt."""
        units = self._counts.units(tokens)
        blocks = request.blocks
        if blocks is None:
            text = self._block(f"line {request.line}", 0, units)
        else:
            ids = blocks[: -(-tokens // self._block_tokens)]
            last = len(ids) - 1
            full = [self._cached(str(i), at, self._size(at)) for at, i in enumerate(ids[:-1])]
            rest = max(1, units - self._end(last))
            text = "".join((*full, self._block(str(ids[-1]), last, rest)))
        words = text.split(maxsplit=SALT_WORDS)[: len(self._salt)]
        return text.lstrip(), " ".join(words)

    def _end(self, blocks: int) -> int:
        """Units of so many whole blocks; the first holds the server's chat template, too."""
        return self._counts.units(blocks * self._block_tokens) if blocks else 0

    def _size(self, place: int) -> int:
        return max(1, self._end(place + 1) - self._end(place))

    def _block(self, block: str, place: int, units: int) -> str:
        """The text of a block: of fewer units it is the beginning of that of more."""

        def make_text(words: int) -> str:
            start = self._beginning[:words] if place == 0 else []
            draw = random.Random(f"evalharness block {self._seed} {block}")
            own = draw_words(draw, words - len(start)).split()
            return "".join(f" {word}" for word in (*start, *own))

        return fit_text(units, self._counter, make_text)
