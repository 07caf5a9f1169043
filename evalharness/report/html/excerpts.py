"""Texts of models, side by side: excerpts around the first difference, and a diff of words."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Kind = Literal["same", "gone", "new"]

BEFORE, AFTER = 120, 700
_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 3_000


class Piece(msgspec.Struct, frozen=True):
    """A stretch of a diff: ``gone`` is in the first text alone, ``new`` in the second alone."""

    kind: Kind
    text: str


class Excerpt(msgspec.Struct, frozen=True):
    """Part of a text around ``at``: ``head`` is before it, ``tail`` from it on.

    ``skipped`` and ``left`` count the characters cut off at the beginning and at the end.
    """

    head: str
    tail: str
    skipped: int
    left: int


def excerpt(text: str, at: int | None, chars: int | None = None, after: int = AFTER) -> Excerpt:
    """Cut a text to what can be read, around where it leaves another one.

    Args:
        text: the text, or the beginning of it.
        at: position of the first difference; None marks nothing.
        chars: length of the whole text where ``text`` is only its beginning.
        after: how many characters to show from ``at`` on.
    """
    whole = len(text) if chars is None else chars
    place = min(0 if at is None else at, len(text))
    start = 0 if place <= BEFORE + after // 2 else place - BEFORE
    end = min(len(text), max(start + BEFORE, place) + after)
    return Excerpt(text[start:place], text[place:end], start, whole - end)


def word_diff(first: str, second: str) -> list[Piece]:
    """The words and spaces of two texts, aligned by their longest common subsequence.

    Texts beyond 3,000 words are compared that far.
    """
    from rapidfuzz.distance import Indel

    a, b = (_WORD.findall(text)[:_MOST_WORDS] for text in (first, second))
    pieces: list[Piece] = []
    for step in Indel.opcodes(a, b):
        if step.tag == "equal":
            _add(pieces, "same", a[step.src_start : step.src_end])
            continue
        _add(pieces, "gone", a[step.src_start : step.src_end])
        _add(pieces, "new", b[step.dest_start : step.dest_end])
    return _tidy(pieces)


def _add(pieces: list[Piece], kind: Kind, words: list[str]) -> None:
    if words:
        pieces.append(Piece(kind, "".join(words)))


def _tidy(pieces: list[Piece]) -> list[Piece]:
    """Join changes that only a scrap keeps apart: ``a b → c d`` reads better than two changes.

    A scrap is shorter than the changes on both of its sides (diff-match-patch calls this the
    semantic clean-up): two texts that share no more than an "a" and an "and" are two texts.
    """
    tidy = pieces
    while True:
        joined = _joined(tidy)
        if len(joined) == len(tidy):
            return joined
        tidy = joined


def _joined(pieces: list[Piece]) -> list[Piece]:
    """One pass: a same piece that is a scrap becomes part of the changes around it."""
    blocks = _blocks(pieces)
    found: list[Piece] = []
    gone, new = "", ""
    for index, (same, first, second) in enumerate(blocks):
        size = max(len(first), len(second))
        around = max(len(gone), len(new))
        if index and around and size and len(same) <= min(around, size):
            gone, new = gone + same + first, new + same + second
            continue
        found += _flushed(gone, new)
        if same:
            found.append(Piece("same", same))
        gone, new = first, second
    return found + _flushed(gone, new)


def _blocks(pieces: list[Piece]) -> list[tuple[str, str, str]]:
    """Pieces as (same, gone, new): what is alike, and the change that follows it."""
    blocks: list[list[str]] = [["", "", ""]]
    for piece in pieces:
        if piece.kind == "same":
            blocks.append([piece.text, "", ""])
        else:
            blocks[-1][1 if piece.kind == "gone" else 2] += piece.text
    return [(same, gone, new) for same, gone, new in blocks if same or gone or new]


def _flushed(gone: str, new: str) -> list[Piece]:
    return [*([Piece("gone", gone)] if gone else []), *([Piece("new", new)] if new else [])]
