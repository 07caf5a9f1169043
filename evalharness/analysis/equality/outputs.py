"""The outputs of two settings, prompt by prompt, as the model equality test compares them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
from evalharness.analysis.data.output_texts import joined_text, read_texts
from evalharness.analysis.equality.kernel import (
    MAX_LENGTH,
    Output,
    PromptKernel,
    Unit,
    hamming_kernel,
    pad_outputs,
)
from evalharness.analysis.equality.power import UnrelatedOutputs

#: Prompts of a pair that are compared; of more, so many are drawn with a fixed seed.
MAX_PROMPTS = 2_000
#: Repeats of a prompt that are compared on each side, the first ones.
MAX_REPEATS = 200
_UNRELATED = 60  # prompts whose outputs are compared with each other
_PROMPTS_AT_ONCE = 200


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Token(msgspec.Struct):
    token: str


class SideRows(NamedTuple):
    """The usable outputs of a setting.

    Attributes:
        frame: its run.
        rows: their positions in the frame, by prompt and repeat.
        prompt: the joined prompt of each, ascending.
    """

    frame: RunFrame
    rows: Ints
    prompt: Ints

    @classmethod
    def of(cls, joined: JoinedRuns, column: SettingColumn) -> SideRows:
        """Those of a column of the joined runs."""
        frame, setting, joined_rows = joined.origin(column)
        part = frame.rows_of(setting)
        rows = part.start + np.flatnonzero(frame.known[part])
        prompt = joined_rows[frame.prompt[rows]]
        order = np.argsort(prompt, kind="stable")
        return cls(frame, rows[order], prompt[order])

    def repeats(self, prompts: int) -> Ints:
        """How many outputs each joined prompt has."""
        return np.bincount(self.prompt, minlength=prompts)

    def rows_of(self, prompt: int) -> Ints:
        """The first outputs of a joined prompt, up to :data:`MAX_REPEATS`."""
        start, end = np.searchsorted(self.prompt, [prompt, prompt + 1])
        return self.rows[start : min(end, start + MAX_REPEATS)]


class OutputsOfBoth(NamedTuple):
    """The outputs of both sides to a prompt."""

    a: Sequence[Output]
    b: Sequence[Output]


class Kernels(NamedTuple):
    """The kernels of the prompts of a pair.

    Attributes:
        prompts: one a prompt.
        length: positions that were compared.
        cut: outputs that are longer.
        unrelated: agreement of outputs to different prompts, or, of a single prompt, of positions
            drawn at random; None where nothing can be said.
    """

    prompts: list[PromptKernel]
    length: int
    cut: int
    unrelated: UnrelatedOutputs | None


def chosen_prompts(both: Ints) -> Ints:
    """The prompts that are compared: all, or a sample with a fixed seed."""
    if both.size <= MAX_PROMPTS:
        return both
    return np.sort(np.random.default_rng(0).choice(both, MAX_PROMPTS, replace=False))


def outputs_of(
    a: SideRows, b: SideRows, prompts: Ints, unit: Unit
) -> Iterator[OutputsOfBoth | None]:
    """The outputs of each prompt; None where a unit of some is not known (no log probabilities)."""
    for start in range(0, len(prompts), _PROMPTS_AT_ONCE):
        block = prompts[start : start + _PROMPTS_AT_ONCE].tolist()
        read = [_read(side, [side.rows_of(prompt) for prompt in block], unit) for side in (a, b)]
        for first, second in zip(*read, strict=True):
            known_a = [output for output in first if output is not None]
            known_b = [output for output in second if output is not None]
            complete = len(known_a) == len(first) and len(known_b) == len(second)
            yield OutputsOfBoth(known_a, known_b) if complete else None


def _read(side: SideRows, groups: Sequence[Ints], unit: Unit) -> list[list[Output | None]]:
    rows = np.concatenate(groups)
    outputs: list[Output | None]
    if unit == "token":
        outputs = [_tokens(text) for text in read_texts(side.frame, rows, "logprobs_json")]
    else:
        texts = joined_text(side.frame, rows)
        outputs = [*texts] if unit == "character" else [text.split() for text in texts]
    ends = np.cumsum([0, *(len(group) for group in groups)]).tolist()
    return [outputs[start:end] for start, end in pairwise(ends)]


def _tokens(logprobs: str | None) -> Output | None:
    if logprobs is None:
        return None
    try:
        content = msgspec.json.decode(logprobs, type=_Logprobs).content
    except msgspec.MsgspecError:
        return None
    return None if content is None else [each.token for each in content]


def kernels_of(outputs: Sequence[OutputsOfBoth]) -> Kernels:
    """The kernels of prompts, all at one length."""
    lengths = [len(output) for prompt in outputs for side in prompt for output in side]
    length = min(MAX_LENGTH, max(lengths))
    kernels = [
        PromptKernel(hamming_kernel(pad_outputs([*prompt.a, *prompt.b], length)), len(prompt.a))
        for prompt in outputs
    ]
    cut = sum(each > MAX_LENGTH for each in lengths)
    return Kernels(kernels, length, cut, unrelated_agreement(outputs, length))


def unrelated_agreement(outputs: Sequence[OutputsOfBoth], length: int) -> UnrelatedOutputs | None:
    """How much outputs to different prompts agree, over pairs of prompts; None of empty ones.

    Of a single prompt the chance that two positions of its outputs, drawn at random, are equal.
    """
    if not length:
        return None
    if len(outputs) == 1:
        both = [*outputs[0].a, *outputs[0].b]
        _, counts = np.unique(pad_outputs(both, length), return_counts=True)
        chance = float(((counts / counts.sum()) ** 2).sum())
        return UnrelatedOutputs(chance, chance * (1.0 - chance) / length)
    chosen: list[int] = np.random.default_rng(0).permutation(len(outputs))[:_UNRELATED].tolist()
    first = [outputs[index].a[0] for index in chosen]
    second = [outputs[index].b[-1] for index in chosen]
    padded = pad_outputs([*first, *second], length)
    kernel: Floats = hamming_kernel(padded[: len(first)], padded[len(first) :])
    pairs = kernel[~np.eye(len(chosen), dtype=np.bool_)]
    return UnrelatedOutputs(float(pairs.mean()), float(pairs.var()))
