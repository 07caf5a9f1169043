"""Divergence of unequal outputs: where they first differ, and by how much.

Comparing texts is the only work here that grows with their length, so it is bounded: a setting
with more unequal pairs of repeats than its share of :data:`MAX_PAIRS` is described by a seeded
random sample of them, and edit distances stop when :data:`EDIT_WORK` is spent. ``pairs``,
``edit_pairs`` and ``sampled`` say what was compared.
"""

from __future__ import annotations

import msgspec
import numpy as np

from evalharness.analysis.data.encode import Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.output_texts import iter_joined_text, read_texts

MAX_PAIRS = 20_000  # of texts compared in a report, shared by its settings
PAIRS_PER_SETTING = (50, 2_000)  # lower and upper limit
EDIT_WORK = 4_000_000_000  # characters × characters of edit distance in a report


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The unequal pairs of repeats of a setting.

    Attributes:
        first_difference_chars: median length of the common prefix in characters; null where no
            two outputs differ.
        first_difference_tokens: the same in tokens, of the pairs that both carry logprobs; null
            where there is none.
        token_pairs: pairs that both carry logprobs.
        edit_similarity: mean of 1 - Levenshtein distance / longer length, in [0, 1]; null where
            no pair was measured.
        edit_pairs: pairs it was measured for.
        unequal_pairs: pairs of repeats that differ.
        pairs: of these, how many were compared.
        sampled: whether any figure but ``first_difference_tokens`` is based on fewer pairs than
            ``unequal_pairs``.
    """

    first_difference_chars: float | None
    first_difference_tokens: float | None
    token_pairs: int
    edit_similarity: float | None
    edit_pairs: int
    unequal_pairs: int
    pairs: int
    sampled: bool


_NO_DIVERGENCE = Divergence(
    first_difference_chars=None, first_difference_tokens=None, token_pairs=0, edit_similarity=None,
    edit_pairs=0, unequal_pairs=0, pairs=0, sampled=False,
)  # fmt: skip


def divergence(frame: RunFrame) -> list[Divergence]:
    """Describe the unequal pairs of repeats of each setting."""
    settings = max(1, len(frame.setting_ids))
    lower, upper = PAIRS_PER_SETTING
    limit = min(upper, max(lower, MAX_PAIRS // settings))
    work = EDIT_WORK // settings
    pairs = [_unequal_pairs(frame, s, limit) for s in range(len(frame.setting_ids))]
    rows = [np.unique(np.concatenate([left, right])) for left, right, _ in pairs]
    return [
        _describe_pairs(frame, setting_rows, texts, setting_pairs, work)
        for setting_rows, texts, setting_pairs in zip(
            rows, iter_joined_text(frame, rows), pairs, strict=True
        )
    ]


def common_prefix(left: str, right: str) -> int:
    """Length of the common prefix in characters: the position of the first difference."""
    from rapidfuzz.distance import Prefix

    return int(Prefix.similarity(left, right))


def _unequal_pairs(frame: RunFrame, setting: int, limit: int) -> tuple[Ints, Ints, int]:
    """Pairs of records of one cell that differ, and how many such pairs there are.

    Every pair, when there are at most ``limit``, else a sample in which each has the same chance:
    variants are drawn in proportion to the pairs they take part in. A pair of variants stands for
    all pairs of repeats that gave them, and is named by their first repeats.
    """
    variants = frame.output_variants
    ends = np.array([setting, setting + 1]) * len(frame.prompt_ids)
    start, stop = np.searchsorted(variants.cell, ends.astype(variants.cell.dtype))
    cell, count = (c[start:stop].astype(np.int64) for c in (variants.cell, variants.count))
    first, n = variants.first[start:stop], variants.n[cell]
    partners = count * (n - count)  # unequal pairs each variant takes part in
    total = int(partners.sum()) // 2
    if total == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), 0
    if total <= limit:
        left, right = _all_pairs(cell, count)
    else:
        left, right = _sampled_pairs(cell, count, n, limit)
    return first[left], first[right], total


def _all_pairs(cell: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Every pair of variants of one cell, once for each pair of repeats it stands for."""
    lefts: list[Ints] = []
    rights: list[Ints] = []
    left = np.arange(len(cell))
    shift = 1
    while len(left := left[left + shift < len(cell)]):
        left = left[cell[left] == cell[left + shift]]
        times = count[left] * count[left + shift]
        lefts.append(np.repeat(left, times))
        rights.append(np.repeat(left + shift, times))
        shift += 1
    return np.concatenate(lefts), np.concatenate(rights)


def _sampled_pairs(cell: Ints, count: Ints, n: Ints, limit: int) -> tuple[Ints, Ints]:
    """``limit`` unequal pairs of repeats with equal chances, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    weight = np.cumsum(count * (n - count))
    left = np.searchsorted(weight, rng.integers(0, weight[-1], limit), side="right")
    # The partner is one of the n - c other repeats of the cell: skip those of the variant itself.
    repeats = np.cumsum(count)
    begin = np.searchsorted(cell, cell[left])
    before = np.where(begin > 0, repeats[begin - 1], 0)
    step = rng.integers(0, n[left] - count[left])
    own_start = repeats[left] - count[left] - before
    step = np.where(step >= own_start, step + count[left], step)
    right = np.searchsorted(repeats, before + step, side="right")
    return left, right


def _describe_pairs(
    frame: RunFrame, rows: Ints, texts: list[str], unequal: tuple[Ints, Ints, int], work: int
) -> Divergence:
    """Describe the unequal pairs of a setting; ``texts`` are the outputs of ``rows``."""
    left, right, total = unequal
    if total == 0:
        return _NO_DIVERGENCE
    firsts, seconds = (np.searchsorted(rows, side) for side in (left, right))
    pairs: list[tuple[int, int]] = list(zip(firsts.tolist(), seconds.tolist(), strict=True))
    chars = [common_prefix(texts[a], texts[b]) for a, b in pairs]
    edits = _edit_similarities([(texts[a], texts[b]) for a, b in pairs], work)
    _, tokens = token_prefixes(frame, rows, pairs)
    return Divergence(
        first_difference_chars=float(np.median(chars)),
        first_difference_tokens=float(np.median(tokens)) if len(tokens) else None,
        token_pairs=len(tokens),
        edit_similarity=float(edits.mean()) if len(edits) else None,
        edit_pairs=len(edits),
        unequal_pairs=total,
        pairs=len(pairs),
        sampled=min(len(pairs), len(edits)) < total,
    )


def _edit_similarities(pairs: list[tuple[str, str]], work: int) -> Floats:
    """Edit similarity of pairs, in a shuffled order, until the work is spent."""
    from rapidfuzz.distance import Levenshtein

    out: list[float] = []
    for index in np.random.default_rng(0).permutation(len(pairs)):
        left, right = pairs[int(index)]
        work -= len(left) * len(right)
        if work < 0:
            break
        out.append(float(Levenshtein.normalized_similarity(left, right)))
    return np.array(out)


class _Token(msgspec.Struct):
    token: str


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


def token_prefixes(
    frame: RunFrame, rows: Ints, pairs: list[tuple[int, int]]
) -> tuple[list[int], Ints]:
    """The common prefix in tokens of the pairs that both carry readable logprobs.

    Args:
        frame: the run.
        rows: positions in the frame.
        pairs: of places in ``rows``.

    Returns:
        Which pairs those are, and the lengths.
    """
    tokens = [_tokens(text) for text in read_texts(frame, rows, "logprobs_json")]
    known: list[int] = []
    lengths: list[int] = []
    for index, (a, b) in enumerate(pairs):
        left, right = tokens[a], tokens[b]
        if left is not None and right is not None:
            same = (i for i, (x, y) in enumerate(zip(left, right, strict=False)) if x != y)
            lengths.append(next(same, min(len(left), len(right))))
            known.append(index)
    return known, np.array(lengths, dtype=np.int64)


def _tokens(logprobs: str | None) -> list[str] | None:
    if logprobs is None:
        return None
    try:
        parsed = msgspec.json.decode(logprobs, type=_Logprobs)
    except msgspec.MsgspecError:
        return None
    return None if parsed.content is None else [item.token for item in parsed.content]
