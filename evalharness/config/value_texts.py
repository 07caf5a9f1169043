"""How the values of an axis are shown: short, and different where they differ."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evalharness.config.parameter_values import plain_number
from evalharness.records import canonical_json

MAX_TEXT = 24


def value_hash(value: Any) -> str:
    """SHA-256 of a value: of a text's UTF-8, else of its canonical JSON."""
    content = value.encode() if isinstance(value, str) else canonical_json(plain_number(value))
    return hashlib.sha256(content).hexdigest()


def value_texts(values: Sequence[Any]) -> list[str]:
    """How the values of one axis are shown in labels: short, and different where they differ."""
    keys = [canonical_json(plain_number(value)) for value in values]
    whole = {key: _whole_text(value) for key, value in zip(keys, values, strict=True)}
    distinct = list(dict.fromkeys(whole.values()))
    shown = {text: text if len(text) <= MAX_TEXT else _cut(text) for text in distinct}
    long = [text for text in distinct if len(text) > MAX_TEXT]
    if len(set(shown.values())) < len(distinct):
        start = _first_difference(long)
        shown |= {text: _cut_from(text, start) for text in long}
    # Still equal (they differ in blanks, or in two places): numbers, in order of appearance.
    names = numbered([shown[text] for text in whole.values()])
    taken = dict(zip(whole, names, strict=True))
    return [taken[key] for key in keys]


def _whole_text(value: Any) -> str:
    if value is None:
        return "none"
    is_shown = isinstance(value, str) and value.strip()  # a line break alone would be nothing
    text = value if is_shown else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _cut(text: str) -> str:
    return text[: MAX_TEXT - 1] + "…"


def _first_difference(texts: Sequence[str]) -> int:
    """Where the texts part, moved back to the beginning of that word."""
    columns = zip(*texts, strict=False)
    start = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    return texts[0].rfind(" ", 0, start) + 1


def _cut_from(text: str, start: int) -> str:
    rest = text[start:]
    if start == 0:
        return _cut(rest) if len(rest) > MAX_TEXT else rest
    return "…" + (rest if len(rest) < MAX_TEXT else rest[: MAX_TEXT - 2] + "…")


def numbered(texts: Sequence[str]) -> list[str]:
    """The texts, with ``#1``, ``#2``, … after those that are there more than once."""
    counts = Counter(texts)
    taken = set(texts)
    seen: Counter[str] = Counter()
    numbered: list[str] = []
    for text in texts:
        unique = text
        while counts[text] > 1 and unique in taken:
            seen[text] += 1
            unique = f"{text} #{seen[text]}"
        taken.add(unique)
        numbered.append(unique)
    return numbered
