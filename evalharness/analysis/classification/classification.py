"""Classification: a confusion table, and precision, recall and F1 of each class, by setting.

Where targets are labels (:mod:`evalharness.scoring.label_classes`), each record counts once. Errors
are left out, as of every score, and so are records whose label could not be looked for. A refusal,
an output without a label and a label that is no class are wrong answers, and never a class.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.analysis.data import encode, json_values
from evalharness.analysis.data.encode import Bools, Floats, Ints
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.statuses import REFUSED
from evalharness.analysis.stats import ClassCounts
from evalharness.scoring.label_classes import OUTSIDE, UNLABELLED, UNPARSED, UNSCORED, RunLabels

MAX_OUTSIDE = 10  # labels outside the set that are listed


class ClassQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How well one class is told from the others.

    Attributes:
        name: of the class, as targets spell it.
        targets: records whose target it is.
        predictions: records that name it.
        right: records of both.
        precision: ``right / predictions``, in [0, 1]; null where no record names it.
        precision_ci95: ``[low, high]`` of it, with the prompt (or its cluster) as the unit, as of
            all intervals here; null where it is undefined.
        recall: ``right / targets``; null where no record has it as its target.
        recall_ci95: ``[low, high]`` of it; null where it is undefined.
        f1: ``2 right / (targets + predictions)``; null where recall is.
        f1_ci95: ``[low, high]`` of it; null where it is undefined.
    """

    name: str
    targets: int
    predictions: int
    right: int
    precision: float | None
    precision_ci95: list[float] | None
    recall: float | None
    recall_ci95: list[float] | None
    f1: float | None
    f1_ci95: list[float] | None


class ConfusionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of one target named.

    Attributes:
        target: the class.
        named: records that name each class, in the order of the classes.
        outside: records that name something that is no class.
        unparsed: records without a label.
        refused: refusals, whatever they name.
    """

    target: str
    named: list[int]
    outside: int
    unparsed: int
    refused: int


class OutsideLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A label that is no class.

    Attributes:
        label: as it was read.
        n: records that name it.
    """

    label: str
    n: int


class SettingClassification(msgspec.Struct, frozen=True, kw_only=True):
    """The classification by one setting.

    Attributes:
        setting_id: of the setting.
        label: its name.
        records: those judged: errors are left out, and records of prompts without a class.
        unscored: records left out because their label could not be looked for.
        outside, unparsed, refused: records of those judged that name no class: another label, none
            at all, or a refusal.
        accuracy: share that names its target, in [0, 1]; null without records. Records count
            alike, where the score counts prompts alike.
        accuracy_ci95: ``[low, high]`` of it; null where it is undefined.
        macro_f1: mean F1 of the classes that have targets, each with the same weight; null without
            any.
        macro_f1_ci95: ``[low, high]`` of it; null where it is undefined.
        classes: in the order of ``classification.classes``.
        confusion: a row a target, in the same order.
        outside_labels: the ten commonest labels that are no class.
    """

    setting_id: str
    label: str
    records: int
    unscored: int
    outside: int
    unparsed: int
    refused: int
    accuracy: float | None
    accuracy_ci95: list[float] | None
    macro_f1: float | None
    macro_f1_ci95: list[float] | None
    classes: list[ClassQuality]
    confusion: list[ConfusionRow]
    outside_labels: list[OutsideLabel]


class Classification(msgspec.Struct, frozen=True, kw_only=True):
    """The classification of a run whose targets are labels.

    Attributes:
        scorer: the scorer that reads the label of an output; null where it is the answer.
        classes: the different targets; numbers by size, then words by name.
        prompts: prompts whose target is one of them.
        prompts_left_out: prompts with a target that is no single label.
        settings: in the order of the settings.
    """

    scorer: str | None
    classes: list[str]
    prompts: int
    prompts_left_out: int
    settings: list[SettingClassification]


class _Records(NamedTuple):
    """The judged records of a setting; ``named`` beyond the classes are the three columns apart."""

    target: Ints
    named: Ints
    unit: Ints


def classify(frame: RunFrame, labels: RunLabels | None) -> Classification | None:
    """Describe how each setting classifies; None where targets are no labels."""
    if labels is None:
        return None
    targets = np.full(len(frame.prompt_ids), UNLABELLED, np.int16)
    targets[: len(labels.targets)] = labels.targets
    predicted = encode.take(labels.predicted, frame.rows)
    return Classification(
        scorer=labels.reader,
        classes=labels.names,
        prompts=int(np.count_nonzero(targets != UNLABELLED)),
        prompts_left_out=labels.unlabelled,
        settings=[
            _setting(frame, s, labels, targets, predicted) for s in range(len(frame.setting_ids))
        ],
    )


def _setting(
    frame: RunFrame, setting: int, labels: RunLabels, targets: Ints, predicted: Ints
) -> SettingClassification:
    rows = frame.rows_of(setting)
    classes = len(labels.names)
    prompt, code = frame.prompt[rows], predicted[rows]
    refused = frame.status[rows] == REFUSED
    labelled = frame.usable[rows] & (targets[prompt] != UNLABELLED)
    judged = labelled & ((code != UNSCORED) | refused)
    records = _Records(
        targets[prompt[judged]],
        _columns(code[judged], refused[judged], classes),
        np.unique(frame.unit_of_prompt[prompt[judged]], return_inverse=True)[1],
    )
    table = np.bincount(
        records.target.astype(np.int64) * (classes + 3) + records.named,
        minlength=classes * (classes + 3),
    ).reshape(classes, classes + 3)
    units = int(records.unit.max(initial=-1)) + 1
    counts = _class_counts(records, classes, units)
    figures = [stats.class_figures(entry) for entry in counts]
    right = (records.target == records.named).astype(np.float64)
    accuracy = stats.share_of(
        np.bincount(records.unit, right, minlength=units).astype(np.float64),
        np.bincount(records.unit, minlength=units).astype(np.float64),
    )
    macro = stats.macro_f1(counts, figures, units)
    outside, unparsed, without = table[:, classes:].sum(axis=0).tolist()
    return SettingClassification(
        setting_id=frame.setting_ids[setting],
        label=frame.label(setting),
        records=len(records.target),
        unscored=int(np.count_nonzero(labelled & ~judged)),
        outside=outside,
        unparsed=unparsed,
        refused=without,
        accuracy=accuracy.value,
        accuracy_ci95=json_values.interval(accuracy.ci95),
        macro_f1=macro.value,
        macro_f1_ci95=json_values.interval(macro.ci95),
        classes=[
            _quality(name, entry, figure)
            for name, entry, figure in zip(labels.names, counts, figures, strict=True)
        ],
        confusion=[
            ConfusionRow(
                target=name, named=row[:classes], outside=row[-3], unparsed=row[-2], refused=row[-1]
            )
            for name, row in zip(labels.names, table.tolist(), strict=True)
        ],
        outside_labels=_outside_labels(labels, code[judged & ~refused]),
    )


def _columns(code: Ints, refused: Bools, classes: int) -> Ints:
    """The column of each record: its class, then ``outside``, ``unparsed``, ``refused``."""
    column = code.astype(np.int64)
    column[(code >= classes) | (code == OUTSIDE)] = classes
    column[code == UNPARSED] = classes + 1
    column[refused] = classes + 2
    return column


def _class_counts(records: _Records, classes: int, units: int) -> list[ClassCounts]:
    """The counts of each class by unit, where a unit has any."""
    in_set = records.named < classes
    of_target = records.target * np.int64(units) + records.unit
    of_named = records.named[in_set] * np.int64(units) + records.unit[in_set]
    is_right = records.target[in_set] == records.named[in_set]
    cells, place = np.unique(np.r_[of_target, of_named], return_inverse=True)
    targets, named = place[: len(of_target)], place[len(of_target) :]
    bounds = np.searchsorted(cells, np.arange(classes + 1) * units).tolist()
    unit = cells % max(1, units)
    columns = [
        np.bincount(part, minlength=len(cells)).astype(np.float64)
        for part in (named[is_right], targets, named)
    ]
    return [
        ClassCounts(unit[start:end], *(column[start:end] for column in columns))
        for start, end in pairwise(bounds)
    ]


def _quality(name: str, counts: ClassCounts, figures: stats.ClassFigures) -> ClassQuality:
    return ClassQuality(
        name=name,
        targets=_total(counts.targets),
        predictions=_total(counts.predictions),
        right=_total(counts.right),
        precision=figures.precision.value,
        precision_ci95=json_values.interval(figures.precision.ci95),
        recall=figures.recall.value,
        recall_ci95=json_values.interval(figures.recall.ci95),
        f1=figures.f1.value,
        f1_ci95=json_values.interval(figures.f1.ci95),
    )


def _total(counts: Floats) -> int:
    return int(counts.sum())


def _outside_labels(labels: RunLabels, code: Ints) -> list[OutsideLabel]:
    beyond = code[code >= len(labels.names)] - len(labels.names)
    counts = np.bincount(beyond, minlength=len(labels.outside)).tolist()
    known = [(-n, label) for n, label in zip(counts, labels.outside, strict=True) if n]
    return [OutsideLabel(label=label, n=-n) for n, label in sorted(known)[:MAX_OUTSIDE]]
