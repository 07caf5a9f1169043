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


def excerpt(text: str, at: int | None, chars: int | None = None) -> Excerpt:
    """Cut a text to what can be read, around where it leaves another one.

    Args:
        text: the text, or the beginning of it.
        at: position of the first difference; None marks nothing.
        chars: length of the whole text where ``text`` is only its beginning.
    """
    whole = len(text) if chars is None else chars
    place = min(0 if at is None else at, len(text))
    start = 0 if place <= BEFORE + AFTER // 2 else place - BEFORE
    end = min(len(text), max(start + BEFORE, place) + AFTER)
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
    """Join changes that only a space keeps apart: ``a b → c d`` reads better than two changes."""
    tidy: list[Piece] = []
    gone, new = "", ""
    for index, piece in enumerate(pieces):
        between = piece.kind == "same" and not piece.text.strip() and (gone or new)
        if piece.kind == "same" and not (between and index + 1 < len(pieces)):
            tidy += _flushed(gone, new)
            gone = new = ""
            tidy.append(piece)
            continue
        gone += piece.text if piece.kind != "new" else ""
        new += piece.text if piece.kind != "gone" else ""
    return tidy + _flushed(gone, new)


def _flushed(gone: str, new: str) -> list[Piece]:
    return [*([Piece("gone", gone)] if gone else []), *([Piece("new", new)] if new else [])]
