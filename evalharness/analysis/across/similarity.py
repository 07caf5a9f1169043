"""Edit similarity between the outputs of two settings, of all pairs of outputs or of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evalharness.analysis.across.output_counts import OutputCounts
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import joined_text

MAX_PAIRS = 20_000  # of texts compared in a report, shared by its pairs of settings
PAIRS_EACH = (50, 1_000)  # lower and upper limit
EDIT_WORK = 2_000_000_000  # characters × characters of edit distance in a report


class Similarity(NamedTuple):
    """Mean over prompts of 1 - Levenshtein distance / longer length; equal outputs count 1.

    Attributes:
        mean: in [0, 1]; None where nothing was compared.
        pairs: pairs of different outputs that it was measured for.
        sampled: whether these are not all.
    """

    mean: float | None
    pairs: int
    sampled: bool


class _Chosen(NamedTuple):
    """Pairs of outputs by their position in the counts, with their share of the mean."""

    a: Ints
    b: Ints
    weight: Floats
    sampled: bool


class Side(NamedTuple):
    """A setting of a pair: its run, and its outputs."""

    frame: RunFrame
    outputs: OutputCounts


def similarities(sides: Sequence[tuple[Side, Side]]) -> list[Similarity]:
    """Compare the outputs of each pair of settings."""
    lower, upper = PAIRS_EACH
    limit = min(upper, max(lower, MAX_PAIRS // max(1, len(sides))))
    chosen = [_choose(a.outputs, b.outputs, limit) for a, b in sides]
    texts = _read(sides, chosen)
    work = EDIT_WORK // max(1, len(sides))
    return [
        _similarity(a, b, some, texts, work) for (a, b), some in zip(sides, chosen, strict=True)
    ]


def _choose(a: OutputCounts, b: OutputCounts, limit: int) -> _Chosen:
    """All pairs of outputs of each prompt, or one pair (or a few) of repeats of some prompts."""
    shared = np.flatnonzero((a.n > 0) & (b.n > 0))
    start_a, start_b = (np.searchsorted(side.prompt, shared) for side in (a, b))
    k_a, k_b = (np.searchsorted(s.prompt, shared, "right") for s in (a, b))
    k_a, k_b = k_a - start_a, k_b - start_b
    pairs = k_a * k_b
    if int(pairs.sum()) <= limit:
        at = np.repeat(np.arange(shared.size), pairs)
        step = np.arange(at.size) - np.repeat(np.cumsum(pairs) - pairs, pairs)
        left, right = start_a[at] + step // k_b[at], start_b[at] + step % k_b[at]
        weight = (a.repeats[left] / a.n[shared[at]]) * (b.repeats[right] / b.n[shared[at]])
        return _Chosen(left, right, weight / shared.size, sampled=False)
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(shared.size)[:limit])
    at = np.repeat(some, max(1, limit // some.size))
    left = _draw(rng, a, start_a[at], a.n[shared[at]])
    right = _draw(rng, b, start_b[at], b.n[shared[at]])
    return _Chosen(left, right, np.full(at.size, 1.0 / at.size), sampled=True)


def _draw(rng: np.random.Generator, side: OutputCounts, start: Ints, n: Ints) -> Ints:
    """The output of a random repeat of each prompt, whose outputs begin at ``start``."""
    ends = np.cumsum(side.repeats)
    before = np.where(start > 0, ends[start - 1], 0)
    return np.searchsorted(ends, before + rng.integers(0, n), side="right")


def _differ(a: OutputCounts, b: OutputCounts, some: _Chosen) -> Bools:
    return a.key[some.a] != b.key[some.b]


def _read(
    sides: Sequence[tuple[Side, Side]], chosen: Sequence[_Chosen]
) -> dict[int, dict[int, str]]:
    """The texts that are compared, by the identity of the frame and the row."""
    frames: dict[int, RunFrame] = {}
    wanted: dict[int, list[Ints]] = {}
    for (a, b), some in zip(sides, chosen, strict=True):
        differ = _differ(a.outputs, b.outputs, some)
        for side, index in ((a, some.a), (b, some.b)):
            frames[id(side.frame)] = side.frame
            rows = side.outputs.first[index[differ]].astype(np.int64)
            wanted.setdefault(id(side.frame), []).append(rows)
    texts: dict[int, dict[int, str]] = {}
    for name, parts in wanted.items():
        rows = np.unique(np.concatenate(parts))
        read = joined_text(frames[name], rows) if rows.size else []
        texts[name] = dict(zip(rows.tolist(), read, strict=True))
    return texts


def _similarity(
    a: Side, b: Side, some: _Chosen, texts: dict[int, dict[int, str]], work: int
) -> Similarity:
    from rapidfuzz.distance import Levenshtein

    if not some.a.size:
        return Similarity(None, 0, sampled=False)
    differ = np.flatnonzero(_differ(a.outputs, b.outputs, some))
    rows_a, rows_b = a.outputs.first[some.a], b.outputs.first[some.b]
    measured, known, compared = 0.0, 0.0, 0
    for index in np.random.default_rng(0).permutation(differ):
        left, right = texts[id(a.frame)][int(rows_a[index])], texts[id(b.frame)][int(rows_b[index])]
        work -= len(left) * len(right)
        if work < 0:
            break
        weight = float(some.weight[index])
        measured += weight * float(Levenshtein.normalized_similarity(left, right))
        known += weight
        compared += 1
    unequal = float(some.weight[differ].sum())
    if differ.size and not compared:
        return Similarity(None, 0, sampled=True)
    mean = 1.0 - unequal + (unequal * measured / known if known else 0.0)
    sampled = some.sampled or compared < differ.size
    return Similarity(min(1.0, max(0.0, mean)), compared, sampled)
