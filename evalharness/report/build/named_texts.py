"""What stands behind the names of values: texts, files and hashes, and how the texts differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from evalharness.analysis.comparison.matching import RUN
from evalharness.analysis.data.join_runs import JoinedRuns, SettingColumn
from evalharness.config.value_texts import value_hash
from evalharness.records import canonical_json
from evalharness.report.html.excerpts import Piece, word_diff

MAX_CHARS = 20_000  # of a text in the JSON
_SHORT_NAMES = ("model", "provider")  # their values are no texts to compare word by word


class NamedText(msgspec.Struct, frozen=True, kw_only=True):
    """A value that is shown by a name.

    Attributes:
        axis: the key it is a value of, such as ``system``.
        name: what stands for it in tables, plots and gates.
        runs: the runs that send it under this name; empty where one run alone is shown.
        file: the file it was read from; null where it was written in the configuration.
        sha256: of the file's bytes, or of the value: a text's UTF-8, else canonical JSON.
        chars: length of the text.
        text: its first 20,000 characters; an object is JSON.
    """

    axis: str
    name: str
    runs: list[str] = []
    file: str | None
    sha256: str
    chars: int
    text: str


class TextDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two texts of an axis, word by word; texts beyond 3,000 words are compared that far.

    Attributes:
        axis: of both.
        a: the name of the text in which ``added`` pieces are.
        b: the name of the first text of the axis, in which ``removed`` pieces are.
        a_runs, b_runs: the runs that send each; empty where one run alone is shown.
        pieces: of both texts, in their order.
    """

    axis: str
    a: str
    b: str
    a_runs: list[str] = []
    b_runs: list[str] = []
    pieces: list[Piece]


class NamedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The named values of some settings.

    Attributes:
        values: axis by axis, in the order of the settings.
        differences: each text of an axis against the axis's first.
        ambiguous: sentences about names that stand for different texts in different runs.
    """

    values: list[NamedText] = []
    differences: list[TextDifference] = []
    ambiguous: list[str] = []


def named_texts(joined: JoinedRuns, by: str | None = None) -> NamedTexts:
    """The named values of settings.

    Args:
        joined: one run, or several.
        by: only the values of this axis; ``run`` takes those that the runs do not share. None
            takes all.
    """
    several = len(joined.frames) > 1
    by_text: dict[tuple[str, str, str], NamedText] = {}
    for column in joined.columns:
        for axis, value in column.sent.items():
            if isinstance(value, str | list | dict):
                named = _named_text(joined, column, axis, value, several=several)
                known = by_text.setdefault((axis, named.name, value_hash(value)), named)
                known.runs.extend(run for run in named.runs if run not in known.runs)
    axes = list(dict.fromkeys(text.axis for text in by_text.values()))
    every = sorted(by_text.values(), key=lambda text: axes.index(text.axis))
    runs = {column.run for column in joined.columns}
    shown = [text for text in every if _is_shown(text, by, runs)]
    return NamedTexts(
        values=shown,
        differences=[*_differences(shown)],
        ambiguous=[*_ambiguous(every)] if several else [],
    )


def _is_shown(text: NamedText, by: str | None, runs: Collection[str]) -> bool:
    if by == RUN:
        return set(text.runs) != set(runs)
    return by is None or text.axis == by.removeprefix("params.")


def _named_text(
    joined: JoinedRuns, column: SettingColumn, axis: str, value: Any, *, several: bool
) -> NamedText:
    frame = joined.frame_of(column)
    known = frame.named_values(column.setting_id).get(axis)
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return NamedText(
        axis=axis,
        name=str(column.values[axis]),
        runs=[column.run] if several else [],
        file=None if known is None else known.file,
        sha256=value_hash(value) if known is None else known.sha256,
        chars=len(text),
        text=text[:MAX_CHARS],
    )


def _differences(texts: list[NamedText]) -> Iterator[TextDifference]:
    first_of: dict[str, NamedText] = {}
    for text in texts:
        first = first_of.setdefault(text.axis, text)
        if text is first or text.axis in _SHORT_NAMES:
            continue
        yield TextDifference(
            axis=text.axis,
            a=text.name,
            b=first.name,
            a_runs=text.runs,
            b_runs=first.runs,
            pieces=word_diff(first.text, text.text),
        )


def _ambiguous(texts: list[NamedText]) -> Iterator[str]:
    """A sentence about each name that stands for several texts."""
    by_name: dict[tuple[str, str], list[NamedText]] = {}
    for text in texts:
        by_name.setdefault((text.axis, text.name), []).append(text)
    for (axis, name), same in by_name.items():
        if len({text.text for text in same}) > 1:
            where = "; ".join(f"{short_hash(t.sha256)} in {', '.join(t.runs)}" for t in same)
            yield f"{axis} {name} is not the same text in these runs: {where}"


def shortened(pieces: Sequence[Piece], keep: int = 80) -> list[Piece]:
    """The pieces of a difference with the middle of long equal stretches left out.

    ``keep`` characters stay on both sides of what was left out.
    """
    return [
        piece
        if piece.kind != "same" or len(piece.text) <= 3 * keep
        else Piece("same", f"{piece.text[:keep]} […] {piece.text[-keep:]}")
        for piece in pieces
    ]


def short_hash(sha256: str) -> str:
    """The beginning of a hash, as it is shown to people."""
    return f"sha256 {sha256[:12]}"


def origin(text: NamedText) -> str:
    """Where a text is from, its hash and its length, in words."""
    file = "" if text.file is None else f"{text.file}, "
    return f"{file}{short_hash(text.sha256)}, {text.chars:,} characters"
