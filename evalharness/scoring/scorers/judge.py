"""``judge``: a score read from the grades that a language model gave (``evalharness judge``)."""

from __future__ import annotations

import sys

import msgspec

from evalharness.records import canonical_json, digest
from evalharness.scoring.base import Sample, Score, Scorer, UnscorableError
from evalharness.scoring.bounds import Bounds


class Grade(msgspec.Struct, frozen=True):
    """The judge's grade of one output.

    ``value`` is the mean over its readable replies, in [0, 1]; None when there is none, and
    ``explanation`` says why.
    """

    value: float | None
    explanation: str


class JudgeScorer(Scorer, frozen=True, kw_only=True):
    """The grade that a judging named ``from`` gave to the output; null when it gave none.

    The judge saw the whole text and the prompt's own target, so ``of: answer`` and ``target`` are
    refused. A report fills in the grades (:func:`evalharness.judging.attach_grades`); alone,
    nothing is judged.
    """

    source: str = msgspec.field(default="grade", name="from")

    needs_target = False

    def __post_init__(self) -> None:
        if self.of != "text":
            raise ValueError("`of`: a judge reads the whole text")
        if self.target is not None:
            raise ValueError("`target`: a judge is shown the prompts' own targets")

    def bounds(self) -> Bounds:
        """A grade is looked up, however long the text."""
        return Bounds(in_process_chars=sys.maxsize)

    def evaluate(self, sample: Sample) -> Score:
        """Refuse: there are no grades to read."""
        raise UnscorableError(
            f"there is no judging `{self.source}` of this run yet, which "
            f"`evalharness judge RUN --name {self.source}` makes"
        )


class StoredGradeScorer(JudgeScorer, frozen=True, kw_only=True):
    """A :class:`Judge` with its grades, by :func:`output_key`."""

    grades: dict[str, Grade]

    def evaluate(self, sample: Sample) -> Score:
        """Look the output's grade up."""
        key = output_key(sample.prompt_id, sample.text, sample.tool_calls_json, sample.target)
        grade = self.grades.get(key)
        if grade is None:
            raise UnscorableError(f"not judged yet by `{self.source}`")
        if grade.value is None:
            raise UnscorableError(grade.explanation)
        return Score(grade.value, sample.text, grade.explanation)


def output_key(
    prompt_id: str, text: str | None, tool_calls_json: str | None, target: object
) -> str:
    """A hash of what was judged: the prompt, its output, and the target."""
    output = canonical_json([text, tool_calls_json])
    return digest(prompt_id.encode(), output, canonical_json(target))
