"""The tables of a classification, for console, Markdown and page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from evalharness.analysis.classification.classification import (
    Classification,
    ClassQuality,
    SettingClassification,
)
from evalharness.process.text import plural
from evalharness.report.words.format_numbers import count_text
from evalharness.report.words.names import join_names
from evalharness.report.words.plain_table import PlainTable
from evalharness.report.words.sanitize import one_line

MAX_MATRIX = 12  # classes of a confusion table; of more the commonest confusions are listed
MAX_CLASSES = 20  # rows of the table of classes
_MAX_CONFUSIONS = 10
_MAX_NAME = 24  # characters of a class
_MAX_OUTSIDE = 3  # labels named in a sentence

ShareText = Callable[["float | None", "Sequence[float] | None"], str]


class SettingTables(NamedTuple):
    """What is shown of one setting.

    Attributes:
        title: the setting, and what there is of records.
        confusion: records by target and by the class they name; None where there are many classes.
        classes: precision, recall and F1.
        lines: what is said below: the commonest confusions, labels outside the set.
    """

    title: str
    confusion: PlainTable | None
    classes: PlainTable
    lines: list[str]


def introduction(data: Classification) -> str:
    """What was compared, in a sentence."""
    reader = "the answer" if data.scorer is None else f"what `{data.scorer}` reads"
    text = (
        f"{len(data.classes):,} classes, {plural(data.prompts, 'prompt')}; "
        f"{reader} against the target"
    )
    if data.prompts_left_out:
        left_out = plural(data.prompts_left_out, "prompt")
        text += f"; {left_out} left out, whose target is no single label"
    return text


def overview(data: Classification, share: ShareText) -> PlainTable:
    """One row a setting."""
    refused = any(entry.refused for entry in data.settings)
    unscored = any(entry.unscored for entry in data.settings)
    headings = ["setting", "macro F1\n[95% CI]", "accuracy\n[95% CI]", "records", "outside",
                "unparsed"]  # fmt: skip
    headings += ["refused"] * refused + ["not tried"] * unscored
    rows = [
        [
            entry.label,
            share(entry.macro_f1, entry.macro_f1_ci95),
            share(entry.accuracy, entry.accuracy_ci95),
            *map(count_text, (entry.records, entry.outside, entry.unparsed)),
            *[count_text(entry.refused)] * refused,
            *[count_text(entry.unscored)] * unscored,
        ]
        for entry in data.settings
    ]
    return PlainTable("settings", headings, rows)


def setting_tables(entry: SettingClassification, share: ShareText) -> SettingTables:
    """Everything about one setting."""
    names = [one_line(quality.name, _MAX_NAME) for quality in entry.classes]
    has_matrix = len(names) <= MAX_MATRIX
    lines = [] if has_matrix else _confusion_lines(entry)
    if entry.outside_labels:
        shown = [
            f"“{one_line(outside.label, _MAX_NAME)}” {outside.n:,}×"
            for outside in entry.outside_labels
        ]
        lines.append(f"outside: {join_names(shown, _MAX_OUTSIDE)}")
    return SettingTables(
        entry.label,
        _confusion(entry, names) if has_matrix else None,
        _classes(entry, share),
        lines,
    )


def _confusion(entry: SettingClassification, names: Sequence[str]) -> PlainTable:
    refused = entry.refused > 0
    rows = [
        [
            name,
            *map(count_text, (*row.named, row.outside, row.unparsed)),
            *[count_text(row.refused)] * refused,
        ]
        for name, row in zip(names, entry.confusion, strict=True)
    ]
    headings = ["target ↓ named →", *names, "outside", "unparsed"]
    return PlainTable("confusion", headings + ["refused"] * refused, rows)


def _classes(entry: SettingClassification, share: ShareText) -> PlainTable:
    """In the order of the classes; of very many those with the lowest F1."""
    shown = entry.classes
    if len(shown) > MAX_CLASSES:
        shown = sorted(shown, key=_f1_of)[:MAX_CLASSES]
    rows = [
        [
            one_line(quality.name, _MAX_NAME),
            share(quality.precision, quality.precision_ci95),
            share(quality.recall, quality.recall_ci95),
            share(quality.f1, quality.f1_ci95),
            count_text(quality.targets),
            count_text(quality.predictions),
        ]
        for quality in shown
    ]
    headings = ["class", "precision\n[95% CI]", "recall\n[95% CI]", "F1\n[95% CI]", "targets",
                "named"]  # fmt: skip
    return PlainTable("classes", headings, rows, len(entry.classes) - len(shown))


def _f1_of(quality: ClassQuality) -> float:
    return math.inf if quality.f1 is None else quality.f1


def _confusion_lines(entry: SettingClassification) -> list[str]:
    """The commonest wrong cells of a table that is too large to show."""
    cells = [
        (-n, row.target, quality.name)
        for row in entry.confusion
        for quality, n in zip(entry.classes, row.named, strict=True)
        if n and quality.name != row.target
    ]
    return [
        f"{one_line(target, _MAX_NAME)} named {one_line(name, _MAX_NAME)}: {-n:,}×"
        for n, target, name in sorted(cells)[:_MAX_CONFUSIONS]
    ]
