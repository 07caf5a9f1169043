"""Targets that are labels: the classes of prompts, and which one each output names.

Targets are labels where a part of the output is compared with them as a whole (an extracted answer,
or what ``exact``, ``choice`` or a group of ``regex`` reads) and few different ones stand for many
prompts. The report then shows a confusion table (``docs/statistics.md``).
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.answer_status import AnswerStatus, ExtractedAnswers
from evalharness.scoring.base import Score, Scorer, UnscorableError, accepted_targets
from evalharness.scoring.choice_labels import LETTERS, labels_by_casefold
from evalharness.scoring.numbers_in_text import last_number_text
from evalharness.scoring.scorers.choice import ChoiceScorer
from evalharness.scoring.scorers.exact import ExactScorer
from evalharness.scoring.scorers.regex import RegexScorer
from evalharness.scoring.text_options import TextOptions

MAX_CLASSES = 200
MAX_CHARS = 80  # of a label
MAX_OUTSIDE = 1000  # different labels outside the set that are told apart

# Codes of outputs that name no class; classes count from 0, then come labels outside the set.
OUTSIDE, UNPARSED, UNSCORED, UNLABELLED = -1, -2, -3, -4

Codes = NDArray[np.int16]
# The comparable form of a target; None where it is no label.
KeyOf = Callable[[str], "str | None"]

_FEW = 10  # classes; so few need hardly more prompts than there are of them
_CACHED = 10_000
_LOOSE = TextOptions(
    ignore_case=True, ignore_whitespace=True, ignore_punctuation=True, unicode_form="NFKC"
)


class LabelSet(NamedTuple):
    """The classes of the prompts, and how an output's label is compared with them.

    Attributes:
        reader: the name of the scorer that reads the label; None where it is the answer.
        names: the classes as targets spell them, in order.
        targets: the class of each prompt; :data:`UNLABELLED` where its target is no single label.
        unlabelled: prompts with a target that is no single label.
        codes: classes by their comparable form.
        key_of: the comparable form of a label that was read.
    """

    reader: str | None
    names: list[str]
    targets: Codes
    unlabelled: int
    codes: dict[str, int]
    key_of: KeyOf


class RunLabels(NamedTuple):
    """The classes of a run and what its records name.

    Attributes:
        reader, names, targets, unlabelled: as of :class:`LabelSet`.
        outside: labels that are no class, those met first.
        predicted: of each record the class that it names; from ``len(names)`` on one of
            ``outside``; :data:`OUTSIDE` another one, :data:`UNPARSED` none, :data:`UNSCORED` where
            it could not be tried to read one.
    """

    reader: str | None
    names: list[str]
    targets: Codes
    unlabelled: int
    outside: list[str]
    predicted: Codes


def find_label_set(
    targets_json: Sequence[str | None],
    scorers: Mapping[str, Scorer],
    extractor: Extractor | None,
    *,
    has_answers: bool,
) -> LabelSet | None:
    """The classes of prompts; None where targets are no labels, or no label is read.

    A scorer that reads the answer comes first, then the answer itself, then a scorer that reads
    the text.

    Args:
        targets_json: of each prompt, null where it has none.
        scorers: by their labels.
        extractor: of answers; None where none are extracted.
        has_answers: whether there are answers, extracted or imported.
    """
    readers = {name: scorer for name, scorer in scorers.items() if _reads_label(scorer)}
    of = "answer" if has_answers else "text"
    name = next((name for name, scorer in readers.items() if scorer.of == of), None)
    if name is None and not has_answers:
        return None
    counts = Counter(text for text in targets_json if text is not None and text != "null")
    labels = {text: label for text in counts if (label := _single_label(text)) is not None}
    rule = _rule_of_answers(extractor, labels.values()) if name is None else _rule(readers[name])
    keys = {text: key for text, label in labels.items() if (key := rule.key_of(label))}
    prompts = Counter[str]()
    for text, key in keys.items():
        prompts[key] += counts[text]
    labelled = prompts.total()
    unlabelled = counts.total() - labelled
    if labelled <= unlabelled or not _are_classes(prompts, declared=rule.declared):
        return None
    spelled = {keys[text]: rule.names.get(keys[text], labels[text]) for text in reversed(keys)}
    order = sorted(spelled, key=lambda key: _sort_key(spelled[key]))
    codes = {key: code for code, key in enumerate(order)}
    of_text = {text: codes[key] for text, key in keys.items()}
    classes = [UNLABELLED if t is None else of_text.get(t, UNLABELLED) for t in targets_json]
    return LabelSet(
        name, [spelled[key] for key in order], np.array(classes, np.int16), unlabelled, codes,
        rule.key_of,
    )  # fmt: skip


class _Rule(NamedTuple):
    """How labels are compared, and the spelling of those that the configuration declares."""

    key_of: KeyOf
    names: Mapping[str, str]

    @property
    def declared(self) -> bool:
        return bool(self.names)


def _reads_label(scorer: Scorer) -> bool:
    """Whether the part of the output that a scorer compares is a label, if targets are."""
    if scorer.target is not None:
        return False
    if isinstance(scorer, RegexScorer):
        return scorer.group is not None
    return isinstance(scorer, ChoiceScorer | ExactScorer)


def _rule(scorer: Scorer) -> _Rule:
    if isinstance(scorer, ChoiceScorer):
        return _rule_of_choices(tuple(scorer.labels))
    assert isinstance(scorer, ExactScorer | RegexScorer)
    return _Rule(scorer.comparable, {})


def _rule_of_choices(labels: tuple[str, ...]) -> _Rule:
    names = labels_by_casefold(labels)

    def key_of(label: str) -> str | None:
        keys = (label.casefold(), label.strip(" ().").casefold())
        return next((key for key in keys if key in names), None)

    return _Rule(key_of, names)


def _rule_of_answers(extractor: Extractor | None, labels: Any) -> _Rule:
    """Answers that no scorer compares: case and punctuation do not count, if they can be spared."""
    if extractor is not None and extractor.choice is not False:
        choices = LETTERS if extractor.choice is True else tuple(extractor.choice)
        return _rule_of_choices(choices)
    if extractor is not None and extractor.last_number:
        return _Rule(last_number_text, {})
    strict = TextOptions().apply
    distinct = {strict(label) for label in labels}
    loose = len({_LOOSE.apply(label) for label in distinct}) == len(distinct)
    return _Rule(_LOOSE.apply if loose else strict, {})


def _single_label(target_json: str) -> str | None:
    """The target as one label; None where it has alternatives or is no short text."""
    try:
        accepted = accepted_targets(msgspec.json.decode(target_json))
    except UnscorableError:
        return None
    label = accepted[0].strip() if len(accepted) == 1 else ""
    return label if 0 < len(label) <= MAX_CHARS else None


def _are_classes(prompts: Counter[str], *, declared: bool) -> bool:
    """Few different labels of many prompts, or any that the configuration lists."""
    classes, total = len(prompts), prompts.total()
    if not 2 <= classes <= MAX_CLASSES:
        return False
    return declared or total >= (1.5 if classes <= _FEW else 5.0) * classes


def _sort_key(name: str) -> tuple[bool, float, str]:
    """Numbers by size, before words."""
    try:
        number = float(name)
    except ValueError:
        number = math.nan
    return (False, number, name) if math.isfinite(number) else (True, 0.0, name)


class LabelCollector:
    """The label of each output, one after the other, as a scorer reads it.

    Args:
        labels: the classes.
    """

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._cache: dict[str, int] = {}
        self._outside: dict[str, int] = {}
        self._codes = array("h")

    def add(self, score: Score) -> None:
        """Take the part of the next output that was compared."""
        if score.value is None:
            self._codes.append(UNSCORED)
        elif not score.answer:
            self._codes.append(UNPARSED)
        else:
            code = self._cache.get(score.answer)
            self._codes.append(self._code(score.answer) if code is None else code)

    def add_answers(self, answers: ExtractedAnswers) -> None:
        """Take the answers of all outputs."""
        codes = np.array([*map(self._code, answers.values), UNPARSED], np.int16)[answers.codes]
        statuses = list(AnswerStatus)
        codes[answers.statuses == statuses.index(AnswerStatus.FAILED)] = UNSCORED
        self._codes.frombytes(codes.astype(np.int16).tobytes())

    def result(self) -> tuple[list[str], Codes]:
        """The labels that are no class, and the code of each output."""
        return list(self._outside), np.array(self._codes, np.int16)

    def _code(self, label: str) -> int:
        code = self._find_code(label)
        if len(self._cache) < _CACHED and len(label) <= MAX_CHARS:
            self._cache[label] = code
        return code

    def _find_code(self, label: str) -> int:
        key = self._labels.key_of(label)
        known = None if key is None else self._labels.codes.get(key)
        if known is not None:
            return known
        name = label.strip()
        if not name:
            return UNPARSED
        if len(name) > MAX_CHARS or (name not in self._outside and self._is_full):
            return OUTSIDE
        return len(self._labels.names) + self._outside.setdefault(name, len(self._outside))

    @property
    def _is_full(self) -> bool:
        return len(self._outside) >= MAX_OUTSIDE
