"""What a scorer is: a frozen value whose fields are its arguments, and one method ``score``.

The rules that hold for every scorer live here, so that no scorer can forget one:

* an error record is not scored (null), since nothing was said;
* a refused record counts 0 where there is a target, else it is not scored; ``not`` does not
  turn that 0 into a 1;
* without a target, where one is needed, the value is null;
* a scorer that raises gives null with the reason, never 0;
* ``not: true`` gives ``1 - value``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeGuard

import msgspec
from msgspec import Meta

from evalharness.records import Status
from evalharness.scoring.safe_regex import TIMED_OUT, PatternTimeoutError

# A member looked up in its class costs ten times a global name (Python 3.11), for every output.
_FAILED, _DECLINED = Status.ERROR, Status.REFUSED
Share = Annotated[float, Meta(ge=0, le=1)]


# Neither samples nor scores refer to themselves: looking for cycles among a million of them would
# cost more than making them.
class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record as a scorer sees it, with what its prompt says about the right answer.

    ``text`` is None where no content was delivered. ``answer`` is what the answer extraction
    found, None when it found nothing. ``target`` is any JSON value, None for no target.
    ``fields``, ``tags`` and ``messages`` are the prompt's own.
    """

    text: str | None
    target: Any = None
    status: Status = Status.OK
    finish_reason: str | None = None
    tool_calls_json: str | None = None
    answer: str | None = None
    prompt_id: str = ""
    fields: dict[str, Any] = {}
    tags: list[str] = []
    messages: list[dict[str, Any]] | None = None


class Score(msgspec.Struct, frozen=True, gc=False):
    """A record judged: ``value`` in [0, 1], None when it could not be judged.

    ``answer`` is the part of the output that was judged, None when there was none.
    ``explanation`` is one sentence for people and, for a null value, the reason.
    """

    value: float | None
    answer: str | None = None
    explanation: str = ""


class UnscorableError(Exception):
    """A sample that a scorer cannot judge; the message is the reason shown."""


class Scorer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every scorer; subclasses add their arguments and :meth:`grade`.

    Attributes:
        label: name of the score in tables; None takes what :meth:`called` says.
        negated: written ``not`` in configuration; the value becomes ``1 - value``.
        of: judge the whole ``text`` or the extracted ``answer``.
        target: the expected value for every prompt, in place of the prompts' own.

    """

    label: str | None = None
    negated: bool = msgspec.field(default=False, name="not")
    of: Literal["text", "answer"] = "text"
    target: Any = None

    needs_target: ClassVar[bool] = True
    #: Whether a forked copy of the process may judge: threads and open files are not in it.
    fits_copies: ClassVar[bool] = True

    def score(self, sample: Sample) -> Score:
        """Judge one sample by the rules in the module's docstring. Never raises."""
        if self.target is not None:
            sample = msgspec.structs.replace(sample, target=self.target)
        status = sample.status
        if status is _FAILED:
            return _ERROR
        if status is _DECLINED:
            return _REFUSED if sample.target is None else _REFUSED_TARGET
        if sample.target is None and self.needs_target:
            return _NO_TARGET
        if sample.answer is None and self.of == "answer":
            return _UNPARSED
        try:
            score = self.grade(sample)
        except UnscorableError as reason:
            return Score(None, None, str(reason))
        except PatternTimeoutError:
            return Score(None, None, TIMED_OUT)
        except Exception as error:
            # Failure as a value: one bad sample or one bad user function never stops a report.
            return Score(None, None, f"the scorer failed: {_described(error)}")
        return self._checked(score)

    def grade(self, sample: Sample) -> Score:
        """Judge a sample that is neither error nor refused and has a target where one is needed.

        May raise anything; :class:`UnscorableError` for a reason meant to be read.
        """
        raise NotImplementedError

    def called(self, name: str) -> str:
        """Say what the score is called where it has no label; ``name`` is the scorer's own."""
        return name

    def said(self, sample: Sample) -> str:
        """Choose the text to judge: the answer with ``of: answer``, else the text, "" for none."""
        chosen = sample.answer if self.of == "answer" else sample.text
        return "" if chosen is None else chosen

    def _checked(self, score: Score) -> Score:
        value = score.value
        if value is None:
            return score
        if not 0.0 <= value <= 1.0:  # nor is NaN
            return Score(None, score.answer, f"the scorer gave {value!r}, outside 0..1")
        if self.negated:
            return Score(1.0 - value, score.answer, f"negated: {score.explanation}")
        return score


# Reasons of null scores that say nothing about the scorer.
NOTHING_ANSWERED = "error record: nothing was answered"
NO_TARGET = "no target"
NOT_DUE = "refused, and no target says that an answer was due"

_ERROR = Score(None, None, NOTHING_ANSWERED)
_REFUSED = Score(None, None, NOT_DUE)
_REFUSED_TARGET = Score(0.0, None, "refused where an answer was due")
_NO_TARGET = Score(None, None, NO_TARGET)
_UNPARSED = Score(0.0, None, "unparsed: no answer was found in the text")


def verdict(passed: bool, answer: str | None, explanation: str) -> Score:
    """Make a yes-or-no score."""
    return Score(1.0 if passed else 0.0, answer, explanation)


def graded(value: float, threshold: float | None, answer: str, what: str) -> Score:
    """Make a score between 0 and 1; with a threshold, 1 at or above it and 0 below."""
    # Libraries that divide floats can step over 1 by an ulp.
    value = min(1.0, max(0.0, value))
    if threshold is None:
        return Score(value, answer, f"{what} {value:.4g}")
    relation = "at least" if value >= threshold else "below"
    return verdict(value >= threshold, answer, f"{what} {value:.4g}, {relation} {threshold:g}")


def best(targets: list[str], measure: Callable[[str], float]) -> float:
    """Take the largest measure over alternative targets: any of them will do."""
    return max(measure(target) for target in targets)


def alternatives(target: Any) -> list[str]:
    """List the texts that count as right: a target as its alternatives.

    Numbers and booleans are written as in JSON (``42``, ``4.5``, ``true``).

    Raises:
        UnscorableError: the target is an empty list or holds something that is no text.

    """
    several = target if is_list(target) else [target]
    if not several:
        raise UnscorableError("no target: the list of alternatives is empty")
    return [_as_text(one) for one in several]


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise UnscorableError(f"the target must be a text, got {json_type(value)}")


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a decoded JSON value is an array."""
    return isinstance(value, list)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def json_type(value: Any) -> str:
    """Name the type of a decoded JSON value, for messages to people."""
    names: dict[type[Any], str] = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    for kind, name in names.items():
        if isinstance(value, kind):
            return name
    return "an unknown value"


def _described(error: Exception) -> str:
    text = str(error)
    return type(error).__name__ if not text else f"{type(error).__name__}: {text[:500]}"
