"""How often each setting gave each output, with codes that are comparable between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from evalharness.analysis.data import variants
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.analysis.data.output_texts import output_hashes
from evalharness.analysis.data.variants import VariantCounts
from evalharness.columnar.hash_table import Hashes

Kind = Literal["text", "answer"]


class OutputCounts(NamedTuple):
    """The outputs of one setting; arrays of outputs are in the order of ``key``.

    Attributes:
        key: ``prompt * width + code``, ascending; equal for equal outputs of a prompt in any
            setting. An unparsed answer has a key of its own.
        prompt: the joined prompt.
        repeats: repeats that gave it.
        first: the first of these, by its row in the frame.
        n: usable repeats of each joined prompt.
        parsed: these with a parsed answer; all of them where whole texts are counted.
        own: pairwise agreement of each joined prompt; NaN below two repeats.
        width: of the keys.
    """

    key: Ints
    prompt: Ints
    repeats: Ints
    first: Ints
    n: Ints
    parsed: Ints
    own: Floats
    width: int

    def parsed_share(self, prompts: Bools) -> float | None:
        """Share of the usable repeats of these prompts with a parsed answer; None of none."""
        n = int(self.n[prompts].sum())
        return int(self.parsed[prompts].sum()) / n if n else None


class _FrameOutputs(NamedTuple):
    counts: VariantCounts
    code: Ints  # of each variant


def count_outputs(joined: JoinedRuns, kind: Kind) -> list[OutputCounts] | None:
    """One entry a column of the joined runs; None where a run has no answers."""
    counted = [f.output_variants if kind == "text" else f.answer_variants for f in joined.frames]
    known = [counts for counts in counted if counts is not None]
    if len(known) < len(counted):
        return None
    frames = joined.frames
    parts = [_with_codes(f, counts, kind) for f, counts in zip(frames, known, strict=True)]
    if len(frames) > 1:
        parts = _shared_codes(frames, parts, kind)
    parts, first_unparsed, width = _apart_unparsed(parts)
    return [
        column
        for frame, rows, part in zip(frames, joined.rows, parts, strict=True)
        for column in _columns(frame, rows, part, len(joined.prompt_ids), (first_unparsed, width))
    ]


def _with_codes(frame: RunFrame, counts: VariantCounts, kind: Kind) -> _FrameOutputs:
    codes = frame.output if kind == "text" else frame.answer
    assert codes is not None
    return _FrameOutputs(counts, codes[counts.first].astype(np.int64))


def _shared_codes(
    frames: Sequence[RunFrame], parts: Sequence[_FrameOutputs], kind: Kind
) -> list[_FrameOutputs]:
    """The same outputs with codes that are equal in all runs where the outputs are."""
    hashes: list[Hashes] = []
    places: list[Ints] = []
    for frame, part in zip(frames, parts, strict=True):
        distinct, first, place = np.unique(part.code, return_index=True, return_inverse=True)
        rows = part.counts.first[first]
        hashes.append(output_hashes(frame, rows) if kind == "text" else _answer_hashes(frame, rows))
        places.append(np.where(distinct[place] < 0, -1, place))
    codes = np.unique(np.concatenate(hashes), return_inverse=True)[1]
    ends = np.cumsum([len(each) for each in hashes])[:-1]
    return [
        _FrameOutputs(part.counts, np.where(place < 0, -1, own[place]))
        for part, place, own in zip(parts, places, np.split(codes, ends), strict=True)
    ]


def _answer_hashes(frame: RunFrame, rows: Ints) -> Hashes:
    from xxhash import xxh3_64_intdigest

    answers = frame.answers_of(rows)  # None, of unparsed ones, gets no code
    return np.array([xxh3_64_intdigest((text or "").encode()) for text in answers], np.uint64)


def _apart_unparsed(parts: Sequence[_FrameOutputs]) -> tuple[list[_FrameOutputs], int, int]:
    """Codes of which each unparsed answer has one of its own, their first, and their end."""
    first = max((int(part.code.max(initial=-1)) for part in parts), default=-1) + 1
    next_code = first
    numbered: list[_FrameOutputs] = []
    for part in parts:
        code, unparsed = part.code.copy(), np.flatnonzero(part.code < 0)
        code[unparsed] = next_code + np.arange(unparsed.size)
        next_code += unparsed.size
        numbered.append(part._replace(code=code))
    return numbered, first, max(1, next_code)


def _columns(
    frame: RunFrame, rows: Ints, part: _FrameOutputs, prompts: int, codes: tuple[int, int]
) -> list[OutputCounts]:
    """The outputs of each setting of a frame; ``codes``: the first unparsed one, and the end."""
    first_unparsed, width = codes
    counts, settings = part.counts, len(frame.setting_ids)
    ends = np.arange(settings + 1) * len(frame.prompt_ids)
    bounds = np.searchsorted(counts.cell, ends.astype(counts.cell.dtype))
    n = frame.matrix(counts.n)
    own = frame.matrix(variants.pairwise_agreement(counts))
    columns: list[OutputCounts] = []
    for setting in range(settings):
        some = slice(bounds[setting], bounds[setting + 1])
        prompt = rows[counts.cell[some] - setting * len(frame.prompt_ids)].astype(np.int64)
        key = prompt * width + part.code[some]
        repeats = counts.count[some].astype(np.int64)
        is_parsed = part.code[some] < first_unparsed
        order = np.argsort(key)
        all_n, all_own = np.zeros(prompts, np.int64), np.full(prompts, np.nan)
        all_n[rows], all_own[rows] = n[:, setting], own[:, setting]
        columns.append(
            OutputCounts(
                key[order],
                prompt[order],
                repeats[order],
                counts.first[some][order],
                all_n,
                np.bincount(prompt, repeats * is_parsed, minlength=prompts).astype(np.int64),
                all_own,
                width,
            )
        )
    return columns
