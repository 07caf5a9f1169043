"""The rows of a synthetic workload."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from evalharness.config.workload import (
    ExactOutputField,
    Lengths,
    PrefixConfig,
    WorkloadConfig,
    parse_lengths,
)
from evalharness.datasets.rows import Row
from evalharness.datasets.workload.lengths import draw_length
from evalharness.datasets.workload.salts import SALT, SALT_WORDS, SOURCE
from evalharness.datasets.workload.token_counts import (
    GUESSED_TOKENS_PER_WORD,
    LinearCounts,
    TextCounter,
    fit_text,
)
from evalharness.datasets.workload.tokenizer_files import open_counter
from evalharness.datasets.workload.words import draw_words
from evalharness.errors import DatasetError

PREFIX = SOURCE
WORDS_NAME = f"{PREFIX}words"  # the dataset that measures how many tokens words are
#: Columns of a row that say what was asked for.
ASKED_PROMPT, ASKED_OUTPUT = "asked_prompt_tokens", "asked_output_tokens"
_PROMPT_KEY, _OUTPUT_KEY = "dataset.workload.prompt_tokens", "dataset.workload.output_tokens"
_TASK = " Write about all of this, and do not stop early."
#: Rows where nothing says how many.
DEFAULT_REQUESTS = 200
_MOST_TOKENS = 200_000_000  # of all prompts; more than a gigabyte of text
_TASK_FROM = 24  # words of a prompt; a shorter one has none


def workload_rows(
    config: WorkloadConfig,
    name: str,
    root: Path,
    counts: LinearCounts | None = None,
    exact_output: Sequence[ExactOutputField] = (),
) -> Iterator[Row]:
    """The rows: one seed gives the same on every machine.

    Args:
        config: what is asked for.
        name: the dataset's, for messages.
        root: folder that the tokenizer's path starts from.
        counts: as measured on the server; None guesses.
        exact_output: the fields that are sent where outputs have an exact length.

    Raises:
        DatasetError: a distribution has no length within its bounds, a prompt does not fit into
            ``max_context``, or the tokenizer cannot be used.
    """
    counter = open_counter(config.tokenizer, root)
    shortest = 0.0 if counts is None else counts.overhead + counts.per_unit
    _check_lengths(config, name, shortest)
    counts = counts or LinearCounts.guessed(counter)
    prefixes = _prefix_texts(config, counts, counter)
    for number, wanted in enumerate(_wanted_rows(config)):
        prefix = "" if wanted.prefix is None else prefixes[wanted.prefix]
        salt = draw_words(wanted.draw, SALT_WORDS) if config.salt else ""
        make_text = partial(_text, salt + prefix, wanted.draw.getrandbits(64))
        columns: dict[str, Any] = {
            "id": f"w{number:06d}",
            "prompt": fit_text(counts.units(wanted.prompt), counter, make_text),
            "params": output_params(config, wanted.output, exact_output),
            ASKED_PROMPT: wanted.prompt,
        }
        if wanted.output is not None:
            columns[ASKED_OUTPUT] = wanted.output
        if wanted.prefix is not None:
            columns["prefix"] = wanted.prefix
        if salt:
            columns[SALT] = salt.rstrip()
        yield Row(f"{name}:row {number + 1}", columns)


class _WantedRow(NamedTuple):
    """What a row is to be; ``draw`` goes on to draw its text."""

    prompt: int  # tokens, those of its beginning included
    output: int | None
    prefix: int | None
    draw: random.Random


def _wanted_rows(config: WorkloadConfig) -> Iterator[_WantedRow]:
    """The lengths of all rows, without their texts."""
    prompts, outputs = _lengths(config)
    prefixes = config.prefixes
    ends = [] if prefixes is None else _zipf_ends(prefixes)
    for number in range(config.requests or DEFAULT_REQUESTS):
        draw = random.Random(f"evalharness workload {config.seed} {number}")
        length = draw_length(prompts, draw, _PROMPT_KEY)
        output = None if outputs is None else draw_length(outputs, draw, _OUTPUT_KEY)
        prefix = None
        if prefixes is not None and draw.random() < prefixes.share:
            length += prefixes.tokens
            prefix = min(bisect_right(ends, draw.random() * ends[-1]), len(ends) - 1)
        yield _WantedRow(length, output, prefix, draw)


def word_rows(
    config: WorkloadConfig, name: str, lengths: Sequence[int] | None = None
) -> Iterator[Row]:
    """Prompts to measure how many tokens words are: as long as those of the workload are.

    Args:
        config: the workload.
        name: the dataset's, for messages.
        lengths: of a trace's prompts, in tokens; None draws from the distribution.
    """
    for size in _word_sizes(_drawn_lengths(config) if lengths is None else sorted(lengths)):
        for copy in range(2):
            number = random.Random(f"evalharness words {config.seed} {size} {copy}").getrandbits(64)
            columns = {"id": f"words-{size}-{copy}", "prompt": _text("", number, size)}
            yield Row(f"{name}:{size}", {**columns, "words": size})


def _lengths(config: WorkloadConfig) -> tuple[Lengths, Lengths | None]:
    assert config.prompt_tokens is not None, "a workload without a trace has lengths"
    prompts = parse_lengths(config.prompt_tokens, "prompt_tokens")
    if config.output_tokens is None:
        return prompts, None
    return prompts, parse_lengths(config.output_tokens, "output_tokens")


def _drawn_lengths(config: WorkloadConfig) -> list[int]:
    """Lengths of prompts, ascending; the longest have a common beginning."""
    draw = random.Random(f"evalharness sizes {config.seed}")
    prompts, _ = _lengths(config)
    prefix = 0 if config.prefixes is None else config.prefixes.tokens
    drawn = sorted(draw_length(prompts, draw, _PROMPT_KEY) for _ in range(101))
    return [*drawn[:95], *(length + prefix for length in drawn[95:])]


def _word_sizes(lengths: Sequence[int]) -> list[int]:
    """Three numbers of words: of a short, a usual and a long prompt."""
    last = len(lengths) - 1
    short, usual, long = (lengths[last * percent // 100] for percent in (5, 50, 95))
    sizes = (max(16, short // 2), usual, long)
    return sorted({max(16, round(size / GUESSED_TOKENS_PER_WORD)) for size in sizes} | {16, 64})


def _text(beginning: str, number: int, words: int) -> str:
    """A text of so many words in all; the words after its beginning are those of the number."""
    task = _TASK if words >= _TASK_FROM else ""
    rest = max(1, words - len(beginning.split()) - len(task.split()))
    return f"{beginning}{draw_words(random.Random(number), rest).rstrip()}.{task}"


def output_params(
    config: WorkloadConfig, output: int | None, fields: Sequence[ExactOutputField]
) -> dict[str, Any]:
    """The parameters that bound an output of so many tokens, or make it exactly as long."""
    if output is None:
        return {}
    params: dict[str, Any] = {config.output_parameter: output}
    if config.exact_output and fields:
        values = {"ignore_eos": True, "min_tokens": output}
        params["extra"] = {field: values[field] for field in fields}
    return params


def _check_lengths(config: WorkloadConfig, name: str, shortest: float) -> None:
    """Refuse lengths that cannot be sent or held, before any text is made.

    Raises:
        DatasetError: a row does not fit into the context, is shorter than what the server's chat
            template alone has, as measured, or all of them together are too much.
    """
    total = 0 if config.prefixes is None else config.prefixes.count * config.prefixes.tokens
    check_total(total, f"{name}: dataset.workload.prefixes")
    for number, wanted in enumerate(_wanted_rows(config)):
        where = f"{name}:row {number + 1}"
        _check_context(config, wanted.prompt, wanted.output, where)
        _check_shortest(shortest, wanted.prompt, where)
        total += wanted.prompt
        check_total(total, where)


def check_total(tokens: int, where: str) -> None:
    """Refuse prompts that do not fit into memory all together.

    Raises:
        DatasetError: they have too many tokens.
    """
    if tokens > _MOST_TOKENS:
        raise DatasetError(
            f"{where}: {tokens:,} prompt tokens up to here are more than the {_MOST_TOKENS:,} that "
            "a workload may have",
            hint="fewer dataset.workload.requests (load.requests goes round them), or bounds "
            "behind prompt_tokens (lognormal 90 1.08 4..2048), or fewer prefixes",
        )


def _check_context(config: WorkloadConfig, prompt: int, output: int | None, where: str) -> None:
    total = prompt + (output or 0)
    if config.max_context is not None and total > config.max_context:
        raise DatasetError(
            f"{where}: {prompt} prompt tokens and {output or 0} of output are more than "
            f"the context of {config.max_context} (dataset.workload.max_context)",
            hint="bounds behind prompt_tokens or output_tokens (lognormal 90 1.08 4..512), or "
            "shorter prefixes",
        )


def _check_shortest(shortest: float, prompt: int, where: str) -> None:
    """Refuse a prompt that the server's chat template alone exceeds, as measured."""
    if round(shortest) > prompt:
        raise DatasetError(
            f"{where}: {prompt} prompt tokens are asked for, and the server counts "
            f"{shortest:.0f} for a prompt of one word",
            hint=f"bounds behind prompt_tokens (lognormal 90 1.08 {math.ceil(shortest)}..2048)",
        )


def _zipf_ends(config: PrefixConfig) -> list[float]:
    """The upper ends of the beginnings' shares, up to any factor."""
    return list(accumulate((n + 1) ** -config.zipf for n in range(config.count)))


def _prefix_texts(config: WorkloadConfig, counts: LinearCounts, counter: TextCounter) -> list[str]:
    """Common beginnings, made once."""
    if config.prefixes is None:
        return []
    units = counts.units(config.prefixes.tokens, alone=False)

    def make_text(number: int, words: int) -> str:
        return draw_words(random.Random(f"evalharness prefix {config.seed} {number}"), words)

    return [
        fit_text(units, counter, partial(make_text, number))
        for number in range(config.prefixes.count)
    ]
