"""The base of scorers: a frozen value whose fields are its arguments, with one method ``score``.

The rules that hold for every scorer are kept here:

* an error record is not scored (null), since it has no output;
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
from evalharness.scoring.bounds import Bounds
from evalharness.scoring.safe_regex import TIMED_OUT, PatternTimeoutError

# Globals, for speed: looking up an enum member takes ten times as long (Python 3.11).
_STATUS_ERROR, _STATUS_REFUSED = Status.ERROR, Status.REFUSED
Share = Annotated[float, Meta(ge=0, le=1)]


# gc=False: samples and scores have no reference cycles, and looking for cycles among a million of
# them would take longer than making them.
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
    """The score of a record: ``value`` in [0, 1], None when it could not be scored.

    ``answer`` is the part of the output that was scored, None when there was none.
    ``explanation`` is one sentence for people and, for a null value, the reason.
    """

    value: float | None
    answer: str | None = None
    explanation: str = ""


class UnscorableError(Exception):
    """A sample that a scorer cannot score; the message is the reason shown."""


class Scorer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every scorer; subclasses add their arguments and :meth:`evaluate`.

    Attributes:
        label: name of the score in tables; None takes :meth:`default_label`.
        negated: written ``not`` in configuration; the value becomes ``1 - value``.
        of: score the whole ``text`` or the extracted ``answer``.
        target: the expected value for every prompt, in place of the prompts' own.

    """

    label: str | None = None
    negated: bool = msgspec.field(default=False, name="not")
    of: Literal["text", "answer"] = "text"
    target: Any = None

    needs_target: ClassVar[bool] = True
    #: Whether a fork of the process may score: threads and open files do not survive a fork.
    fork_safe: ClassVar[bool] = True

    def score(self, sample: Sample) -> Score:
        """Score one sample by the rules in the module's docstring. Never raises."""
        if self.target is not None:
            sample = msgspec.structs.replace(sample, target=self.target)
        status = sample.status
        if status is _STATUS_ERROR:
            return _ERROR
        if status is _STATUS_REFUSED:
            return _REFUSED if sample.target is None else _REFUSED_TARGET
        if sample.target is None and self.needs_target:
            return _NO_TARGET
        if sample.answer is None and self.of == "answer":
            return _UNPARSED
        try:
            score = self.evaluate(sample)
        except UnscorableError as reason:
            return Score(None, None, str(reason))
        except PatternTimeoutError:
            return Score(None, None, TIMED_OUT)
        except MemoryError:
            return Score(None, None, REASON_NO_MEMORY)
        except Exception as error:
            # One bad sample or one bad user function must not stop a report.
            return Score(None, None, f"the scorer failed: {describe_error(error)}")
        return self._finish(score)

    def bounds(self) -> Bounds:
        """What one text may cost, and where it is scored; :meth:`score` itself holds no limit."""
        return Bounds()

    def is_settled(self, sample: Sample) -> bool:
        """Whether :meth:`score` has no need of :meth:`evaluate`."""
        return (
            sample.status is _STATUS_ERROR
            or sample.status is _STATUS_REFUSED
            or (self.needs_target and self.target is None and sample.target is None)
            or (self.of == "answer" and sample.answer is None)
        )

    def evaluate(self, sample: Sample) -> Score:
        """Score a sample that is neither error nor refused and has a target where one is needed.

        May raise anything; :class:`UnscorableError` carries a reason for people.
        """
        raise NotImplementedError

    def default_label(self, name: str) -> str:
        """The label of a score without one; ``name`` is the scorer's name in the table."""
        return name

    def warning(self) -> str | None:
        """What in the arguments is likely a mistake where prompts have targets; mostly nothing."""
        return None

    def text_to_score(self, sample: Sample) -> str:
        """The text to score: the answer with ``of: answer``, else the text; "" for none."""
        text = sample.answer if self.of == "answer" else sample.text
        return "" if text is None else text

    def _finish(self, score: Score) -> Score:
        value = score.value
        if value is None:
            return score
        if not 0.0 <= value <= 1.0:  # NaN is outside, too
            return Score(None, score.answer, f"the scorer gave {value!r}, outside 0..1")
        if self.negated:
            return Score(1.0 - value, score.answer, f"negated: {score.explanation}")
        return score


# Reasons for null scores that do not depend on the scorer.
REASON_ERROR_RECORD = "error record: nothing was answered"
REASON_NO_TARGET = "no target"
REASON_NO_MEMORY = "more memory was needed than a scorer may have"
REASON_REFUSED = "refused, and no target says that an answer was due"

_ERROR = Score(None, None, REASON_ERROR_RECORD)
_REFUSED = Score(None, None, REASON_REFUSED)
_REFUSED_TARGET = Score(0.0, None, "refused where an answer was due")
_NO_TARGET = Score(None, None, REASON_NO_TARGET)
_UNPARSED = Score(0.0, None, "unparsed: no answer was found in the text")


def binary_score(passed: bool, answer: str | None, explanation: str) -> Score:
    """Make a yes-or-no score."""
    return Score(1.0 if passed else 0.0, answer, explanation)


def threshold_score(value: float, threshold: float | None, answer: str, name: str) -> Score:
    """Make a score between 0 and 1; with a threshold, 1 at or above it and 0 below."""
    # Float division in libraries can exceed 1 by rounding.
    value = min(1.0, max(0.0, value))
    if threshold is None:
        return Score(value, answer, f"{name} {value:.4g}")
    relation = "at least" if value >= threshold else "below"
    return binary_score(value >= threshold, answer, f"{name} {value:.4g}, {relation} {threshold:g}")


def max_over_targets(targets: list[str], measure: Callable[[str], float]) -> float:
    """The largest measure over the accepted targets."""
    return max(measure(target) for target in targets)


def accepted_targets(target: Any) -> list[str]:
    """The texts that count as right: a target's alternatives.

    Numbers and booleans are written as in JSON (``42``, ``4.5``, ``true``).

    Raises:
        UnscorableError: the target is an empty list or holds something that is no text.

    """
    values = target if is_list(target) else [target]
    if not values:
        raise UnscorableError("no target: the list of alternatives is empty")
    return [_target_text(value) for value in values]


def _target_text(value: Any) -> str:
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


def describe_error(error: BaseException) -> str:
    """The type of an exception and, where it has one, its message, cut at 500 characters."""
    text = str(error)
    return type(error).__name__ if not text else f"{type(error).__name__}: {text[:500]}"
