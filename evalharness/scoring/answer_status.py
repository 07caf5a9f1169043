"""The answers of a run's outputs, one output after the other."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import UNKNOWN, Codes, Keys
from evalharness.records import Status
from evalharness.scoring.answer_extraction import Extractor, Parsed
from evalharness.scoring.safe_regex import TIMED_OUT

if TYPE_CHECKING:
    import pyarrow as pa

GIVE_UP_AFTER = 10  # texts on which a pattern took too long before it is tried no more
GAVE_UP = f"not tried: the pattern took too long on {GIVE_UP_AFTER} other texts"


class AnswerStatus(StrEnum):
    """What answer extraction came to for one record."""

    PARSED = "parsed"
    UNPARSED = "unparsed"  # delivered, and no answer in it: agrees with nothing
    FAILED = "failed"  # extraction could not be tried (a pattern over its time limit)
    NONE = "none"  # an error record: nothing was said


_ERROR = Status.ERROR  # looking it up there costs more than the rest of a comparison (Python 3.11)
_PARSED, _UNPARSED, _FAILED, _NONE = range(len(AnswerStatus))
_GIVEN_UP = Parsed(None, GAVE_UP, failed=True)


class Answering:
    """Takes the answer out of output after output; without an extractor, the supplied one."""

    def __init__(self, extractor: Extractor | None) -> None:
        self._extractor = extractor
        self._supplied: Iterator[str | None] = iter(())
        self._timeouts = 0
        self._keys = Keys()
        self._codes = array("i")  # of the answers so far; UNKNOWN where there is none
        self._statuses = array("b")  # what it came to: places in AnswerStatus

    def supply(self, answers: list[str | None]) -> None:
        """Give the answers of the outputs that come next."""
        self._supplied = iter(answers)

    def answer(self, status: Status, text: str | None) -> str | None:
        """Answer of the next output."""
        if self._extractor is None:
            one = next(self._supplied)
            found = _UNPARSED if one is None else _PARSED
            if status is _ERROR:
                one, found = None, _NONE
        elif status is _ERROR:
            one, found = None, _NONE
        else:
            parsed = _GIVEN_UP if self._timeouts >= GIVE_UP_AFTER else self._extractor.parse(text)
            self._timeouts += parsed.reason == TIMED_OUT
            one = parsed.answer
            found = _PARSED if one is not None else _FAILED if parsed.failed else _UNPARSED
        self._statuses.append(found)
        self._codes.append(UNKNOWN if one is None else self._keys.numbers[one])
        return one

    def found(self) -> Answers:
        """What all outputs so far came to."""
        codes, statuses = np.array(self._codes, np.int32), np.array(self._statuses, np.int8)
        return Answers(self._keys.values, codes, statuses)


class Answers(NamedTuple):
    """The answers of outputs, in their order.

    Attributes:
        values: the different answers.
        codes: of each output, place of its answer among the values; negative where it has none.
        statuses: of each output, place in :class:`AnswerStatus`.
    """

    values: list[str]
    codes: Codes
    statuses: NDArray[np.int8]

    def at(self, place: int) -> str | None:
        """Answer of one output."""
        code = int(self.codes[place])
        return None if code < 0 else self.values[code]

    def of(self, index: Codes) -> tuple[pa.DictionaryArray[Any, Any], pa.DictionaryArray[Any, Any]]:
        """Answers, and what they came to, of records given by the places of their outputs."""
        import pyarrow

        pa: Any = pyarrow
        codes, statuses = self.codes[index], self.statuses[index]
        words = pa.array([status.value for status in AnswerStatus])
        return (
            pa.DictionaryArray.from_arrays(
                pa.array(codes, mask=codes < 0), pa.array(self.values, pa.string())
            ),
            pa.DictionaryArray.from_arrays(pa.array(statuses), words),
        )
