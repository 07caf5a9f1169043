"""The answers of a run's outputs, collected one output after the other, and their status."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import NULL_CODE, Codes, DictionaryEncoder
from evalharness.records import Status
from evalharness.scoring.answer_extraction import ExtractionResult, Extractor
from evalharness.scoring.safe_regex import MAX_TIMEOUTS, REASON_GAVE_UP, TIMED_OUT

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.scoring.isolation.client import IsolatedExtractor


class AnswerStatus(StrEnum):
    """The result of answer extraction for one record."""

    PARSED = "parsed"
    UNPARSED = "unparsed"  # delivered, but without an answer: agrees with nothing
    FAILED = "failed"  # extraction could not be tried (a pattern over its time limit)
    NONE = "none"  # an error record: there is no text


_ERROR = Status.ERROR  # a global: the enum look-up is slower than the comparison (3.11)
_PARSED, _UNPARSED, _FAILED, _NONE = range(len(AnswerStatus))
_GAVE_UP_RESULT = ExtractionResult(None, REASON_GAVE_UP, failed=True)


class AnswerCollector:
    """Extracts the answers of outputs one by one; without an extractor, takes supplied ones."""

    def __init__(self, extractor: Extractor | None) -> None:
        self._extractor = extractor
        self._supplied: Iterator[str | None] = iter(())
        self._in_process_chars = 0 if extractor is None else extractor.bounds().in_process_chars
        self._isolated: IsolatedExtractor | None = None
        self._timeouts = 0
        self._encoder = DictionaryEncoder()
        self._codes = array("i")  # of the answers so far; NULL_CODE where there is none
        self._statuses = array("b")  # indexes into AnswerStatus

    def supply(self, answers: list[str | None]) -> None:
        """Set the answers of the outputs that come next."""
        self._supplied = iter(answers)

    def answer(self, status: Status, text: str | None) -> str | None:
        """The answer of the next output."""
        if self._extractor is None:
            answer = next(self._supplied)
            outcome = _UNPARSED if answer is None else _PARSED
            if status is _ERROR:
                answer, outcome = None, _NONE
        elif status is _ERROR:
            answer, outcome = None, _NONE
        else:
            result = self._extract(self._extractor, text)
            self._timeouts += result.reason == TIMED_OUT
            answer = result.answer
            outcome = _PARSED if answer is not None else _FAILED if result.failed else _UNPARSED
        self._statuses.append(outcome)
        self._codes.append(NULL_CODE if answer is None else self._encoder.code(answer))
        return answer

    def _extract(self, extractor: Extractor, text: str | None) -> ExtractionResult:
        if text is not None and len(text) > self._in_process_chars:
            if self._isolated is None:
                from evalharness.scoring.isolation.client import IsolatedExtractor

                self._isolated = IsolatedExtractor(extractor)
            return self._isolated.extract(text)
        return _GAVE_UP_RESULT if self._timeouts >= MAX_TIMEOUTS else extractor.extract(text)

    def result(self) -> ExtractedAnswers:
        """The answers of all outputs so far."""
        codes, statuses = np.array(self._codes, np.int32), np.array(self._statuses, np.int8)
        return ExtractedAnswers(self._encoder.values, codes, statuses)


class ExtractedAnswers(NamedTuple):
    """The answers of outputs, in their order.

    Attributes:
        values: the different answers.
        codes: of each output, the index of its answer in ``values``; negative where it has none.
        statuses: of each output, the index in :class:`AnswerStatus`.
    """

    values: list[str]
    codes: Codes
    statuses: NDArray[np.int8]

    def answer_of(self, output: int) -> str | None:
        """The answer of one output, by its number."""
        code = int(self.codes[output])
        return None if code < 0 else self.values[code]

    def for_records(
        self, index: Codes
    ) -> tuple[pa.DictionaryArray[Any, Any], pa.DictionaryArray[Any, Any]]:
        """Answers and answer statuses of records, given by the numbers of their outputs."""
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
