"""Outputs judged one after the other: their answers taken, every scorer applied."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalharness.errors import ConfigError
from evalharness.scoring.answer_extraction import Extractor
from evalharness.scoring.answer_status import GAVE_UP, GIVE_UP_AFTER, Answering, Answers
from evalharness.scoring.base import Sample, Score, Scorer
from evalharness.scoring.safe_regex import TIMED_OUT
from evalharness.scoring.unique_outputs import Samples

if TYPE_CHECKING:
    import numpy.typing as npt

_HOPELESS = Score(None, None, GAVE_UP)


class Marked(NamedTuple):
    """One scorer's values a distinct output, NaN for null, and the reasons of the null ones."""

    values: npt.NDArray[np.float64]
    reasons: dict[int, str]


class Marks(NamedTuple):
    """What the distinct outputs came to; ``answers`` is None when none are defined."""

    scores: dict[str, Marked]
    answers: Answers | None


class Marker:
    """Judges outputs, one batch after the other: takes their answers and applies every scorer.

    Args:
        scorers, extractor, supplied: see :class:`Grader`.

    Raises:
        ConfigError: see :func:`score_records`.

    """

    def __init__(
        self, scorers: Sequence[Scorer], extractor: Extractor | None, *, supplied: bool
    ) -> None:
        answering = supplied or extractor is not None
        self._judges = _labelled(scorers, answers_known=answering)
        self._answering = Answering(extractor) if answering else None
        self._supplied = supplied

    @property
    def scorers(self) -> dict[str, Scorer]:
        """The scorers by their labels."""
        return {label: judge.scorer for label, judge in self._judges.items()}

    def mark(self, samples: Samples) -> None:
        """Judge the outputs that came with the last block."""
        answering = self._answering
        if answering is not None and self._supplied:
            answering.supply(samples.supplied())
        for batch in samples.made(answer=None if answering is None else answering.answer):
            for one in self._judges.values():
                one.judge(batch)

    def marks(self) -> Marks:
        """What all outputs so far came to."""
        answers = None if self._answering is None else self._answering.found()
        return Marks({label: one.finished() for label, one in self._judges.items()}, answers)


class _Judge:
    """Applies one scorer, and gives up on a pattern that keeps taking too long."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._values = array("d")
        self._reasons: dict[int, str] = {}
        self._timeouts = 0

    def judge(self, batch: list[Sample]) -> None:
        """Score the samples that come next."""
        score = self.scorer.score
        append = self._values.append
        for place, sample in enumerate(batch, len(self._values)):
            one = _HOPELESS if self._timeouts >= GIVE_UP_AFTER else score(sample)
            if one.value is None:
                self._reasons[place] = one.explanation
                self._timeouts += one.explanation == TIMED_OUT
                append(math.nan)
            else:
                append(one.value)

    def finished(self) -> Marked:
        """Collect the values of all samples judged."""
        return Marked(np.array(self._values, dtype=np.float64), self._reasons)


def _labelled(scorers: Sequence[Scorer], *, answers_known: bool) -> dict[str, _Judge]:
    judged: dict[str, _Judge] = {}
    for place, scorer in enumerate(scorers):
        label = scorer.label or type(scorer).__name__.lower()
        if label in judged:
            raise ConfigError(f"configuration key `scoring[{place}].label`: {label!r} is taken")
        if scorer.of == "answer" and not answers_known:
            raise ConfigError(
                f"configuration key `scoring[{place}].of`: is `answer`, and no answer is defined",
                hint="add e.g. answer={last_number: true}",
            )
        judged[label] = _Judge(scorer)
    return judged
