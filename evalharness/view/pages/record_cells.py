"""Values of records as the table shows them, and filters in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from evalharness.report.words.format_numbers import dollars, plain_number
from evalharness.view.queries.record_columns import Kind, RecordColumn
from evalharness.view.queries.record_filter import RecordFilter

SHOWN_CHARS = 400  # of a text; the record has all
_UNKNOWN = "—"

#: A part of a filter in words, and the fields of the filter without it.
FilterPart = tuple[str, dict[str, Any]]


class RecordCell(NamedTuple):
    """A value as a text."""

    column: RecordColumn
    text: str


class FilterWords(NamedTuple):
    """A part of a filter in words, and the address without it."""

    words: str
    query: str


def cell(column: RecordColumn, value: Any) -> RecordCell:
    """A value as it is shown; a mark or note that is missing is empty, all else a dash."""
    if value is None:
        return RecordCell(column, "" if column.source == "m" else _UNKNOWN)
    return RecordCell(column, _text(column.kind, value))


def _text(kind: Kind, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, int):
        return f"{value:,}"
    if kind == "seconds":
        return f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.3g} ms"
    if kind == "money":
        return dollars(value)
    if kind in ("share", "number"):
        return plain_number(value)
    text = str(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def filter_words(shown: RecordFilter, labels: Mapping[str, str]) -> list[FilterWords]:
    """Every part of a filter, to be read and to be taken away.

    Args:
        shown: the filter.
        labels: of the settings by id.
    """
    parts = [*_choices_in_words(shown, labels), *_limits_in_words(shown)]
    if shown.scorer:
        parts.append((f"scores by {shown.scorer}", {"scorer": ""}))
    if shown.unstable:
        parts.append((f"repeats with different {shown.unstable}s", {"unstable": ""}))
    if shown.regressed:
        every = " in every repeat" if shown.every else ""
        without = {"regressed": "", "every": False}
        parts.append((f"regressed against {shown.regressed}{every}", without))
    if shown.mark:
        marks = {"none": "without a mark", "any": "marked"}
        parts.append((marks.get(shown.mark, f"marked {shown.mark}"), {"mark": ""}))
    if shown.reader:
        parts.append((f"marks of {shown.reader}", {"reader": ""}))
    return [
        FilterWords(words, msgspec.structs.replace(shown, page=1, **without).query())
        for words, without in parts
    ]


def _choices_in_words(shown: RecordFilter, labels: Mapping[str, str]) -> list[FilterPart]:
    settings = [labels.get(each, each) for each in shown.settings]
    parts: list[FilterPart] = [(f"with “{shown.text}”", {"text": ""})] if shown.text else []
    parts += each_in_words("setting", "or", "settings", shown.settings, settings)
    parts += [(f"prompt {shown.prompt}", {"prompt": ""})] if shown.prompt else []
    parts += each_in_words("status", "or", "statuses", shown.statuses)
    parts += each_in_words("finish reason", "or", "finish_reasons", shown.finish_reasons)
    parts += each_in_words("tag", "and", "tags", shown.tags)
    return parts


def each_in_words(
    name: str, between: str, field: str, values: Sequence[str], texts: Sequence[str] = ()
) -> list[FilterPart]:
    """A part for each value of a field that can have several.

    Args:
        name: of the field, in words.
        between: ``or`` where one of the values fits, ``and`` where all do.
        field: of the filter.
        values: of the field.
        texts: what the values are called; empty is as they are.
    """
    return [
        (f"{between} {name} {text}" if at else f"{name} {text}",
         {field: tuple(other for other in values if other != value)})
        for at, (value, text) in enumerate(zip(values, texts or values, strict=True))
    ]  # fmt: skip


def _limits_in_words(shown: RecordFilter) -> list[FilterPart]:
    limits: list[tuple[str, str, float | None]] = [
        ("score ≥ {}", "min_score", shown.min_score),
        ("score ≤ {}", "max_score", shown.max_score),
        ("latency ≥ {} s", "min_latency", shown.min_latency),
        ("latency ≤ {} s", "max_latency", shown.max_latency),
    ]
    return [(text.format(f"{v:g}"), {field: None}) for text, field, v in limits if v is not None]
