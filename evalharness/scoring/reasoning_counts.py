"""How many outputs of a run have reasoning in their text, collected as they are scored."""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import Codes
from evalharness.scoring.reasoning import ReasoningMode, split_reasoning

_NO_TEXT, _PLAIN, _CLOSED, _UNCLOSED = range(4)


class ReasoningTotals(NamedTuple):
    """Records by the reasoning in their text.

    Attributes:
        mode: whether scorers saw the texts without it.
        texts: records with a text.
        with_reasoning: those of them whose text begins with reasoning, an empty block included.
        unclosed: those that end within it.
    """

    mode: ReasoningMode
    texts: int
    with_reasoning: int
    unclosed: int


class FoundReasoning(NamedTuple):
    """Which outputs have reasoning in their text, in their order."""

    mode: ReasoningMode
    kinds: NDArray[np.int8]

    def totals(self, index: Codes) -> ReasoningTotals:
        """Count over records, given by the numbers of their outputs."""
        counts: list[int] = np.bincount(self.kinds[index], minlength=4).tolist()
        with_reasoning = counts[_CLOSED] + counts[_UNCLOSED]
        texts = counts[_PLAIN] + with_reasoning
        return ReasoningTotals(self.mode, texts, with_reasoning, counts[_UNCLOSED])


class ReasoningCollector:
    """Takes the reasoning off texts one by one, and keeps which had any."""

    def __init__(self, mode: ReasoningMode) -> None:
        self.mode: ReasoningMode = mode
        self._kinds = array("b")

    def scored_text(self, text: str | None) -> str | None:
        """The text of the next output as scorers see it."""
        if text is None:
            self._kinds.append(_NO_TEXT)
            return None
        parts = split_reasoning(text)
        self._kinds.append(
            _PLAIN if not parts.has_reasoning else _CLOSED if parts.closed else _UNCLOSED
        )
        return text if self.mode == "keep" else parts.rest

    def result(self) -> FoundReasoning:
        """What all outputs so far had."""
        return FoundReasoning(self.mode, np.array(self._kinds, np.int8))
