"""Texts of models, side by side: excerpts around the first difference, and a diff of words."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

PieceKind = Literal["same", "removed", "added"]

BEFORE, AFTER = 120, 700
_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_MAX_WORDS = 3_000


class Piece(msgspec.Struct, frozen=True):
    """A piece of a diff.

    Attributes:
        kind: ``removed`` is only in the first text, ``added`` only in the second.
        text: of the piece.
    """

    kind: PieceKind
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
    """Cut a text to a readable length around its first difference from another text.

    Args:
        text: the text, or the beginning of it.
        at: position of the first difference; None if there is none.
        chars: length of the whole text where ``text`` is only its beginning.
        after: how many characters to show from ``at`` on.
    """
    total = len(text) if chars is None else chars
    split = min(0 if at is None else at, len(text))
    start = 0 if split <= BEFORE + after // 2 else split - BEFORE
    end = min(len(text), max(start + BEFORE, split) + after)
    return Excerpt(text[start:split], text[split:end], start, total - end)


def word_diff(first: str, second: str) -> list[Piece]:
    """The words and spaces of two texts, aligned by their longest common subsequence.

    Texts beyond 3,000 words are compared that far.
    """
    from rapidfuzz.distance import Indel

    a, b = (_WORD.findall(text)[:_MAX_WORDS] for text in (first, second))
    pieces: list[Piece] = []
    for step in Indel.opcodes(a, b):
        if step.tag == "equal":
            _add(pieces, "same", a[step.src_start : step.src_end])
            continue
        _add(pieces, "removed", a[step.src_start : step.src_end])
        _add(pieces, "added", b[step.dest_start : step.dest_end])
    return _tidy(pieces)


def _add(pieces: list[Piece], kind: PieceKind, words: list[str]) -> None:
    if words:
        pieces.append(Piece(kind, "".join(words)))


def _tidy(pieces: list[Piece]) -> list[Piece]:
    """Merge changes that only a scrap of equal text separates, until there is none left.

    A scrap is shorter than the changes on both of its sides (diff-match-patch calls this the
    semantic clean-up). Without it, texts that share only words like "a" and "and" would be shown
    as many small changes.
    """
    tidy = pieces
    while True:
        merged = _merge_scraps(tidy)
        if len(merged) == len(tidy):
            return merged
        tidy = merged


def _merge_scraps(pieces: list[Piece]) -> list[Piece]:
    """One pass: each scrap becomes part of the changes around it."""
    blocks = _blocks(pieces)
    merged: list[Piece] = []
    removed, added = "", ""
    for index, (same, first, second) in enumerate(blocks):
        size = max(len(first), len(second))
        size_before = max(len(removed), len(added))
        if index and size_before and size and len(same) <= min(size_before, size):
            removed, added = removed + same + first, added + same + second
            continue
        merged += _change_pieces(removed, added)
        if same:
            merged.append(Piece("same", same))
        removed, added = first, second
    return merged + _change_pieces(removed, added)


def _blocks(pieces: list[Piece]) -> list[tuple[str, str, str]]:
    """Pieces as (same, removed, added): equal text, and the change that follows it."""
    blocks: list[list[str]] = [["", "", ""]]
    for piece in pieces:
        if piece.kind == "same":
            blocks.append([piece.text, "", ""])
        else:
            blocks[-1][1 if piece.kind == "removed" else 2] += piece.text
    return [(same, old, new) for same, old, new in blocks if same or old or new]


def _change_pieces(removed: str, added: str) -> list[Piece]:
    pieces = [Piece("removed", removed), Piece("added", added)]
    return [piece for piece in pieces if piece.text]
