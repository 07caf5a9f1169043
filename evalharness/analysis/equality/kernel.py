"""The Hamming kernel of outputs: the share of positions at which two of them are equal.

Source: Gao, Liang and Guestrin, "Model Equality Testing: Which Model Is This API Serving?", ICLR
2025 (arXiv 2410.20247), there as a count. Outputs are padded to one length, and padding equals
padding. The share at a length is the count divided by a constant; a greater length adds the same to
every pair, so that no test depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from evalharness.analysis.data.encode import Floats, Ints

Unit = Literal["character", "word", "token"]
#: An output: its text, whose characters are compared, or its words or tokens.
Output = str | Sequence[str]

#: Positions that are compared; longer outputs are cut. As in the paper for characters.
MAX_LENGTH = 1_000
_PADDING = -1


class PromptKernel(NamedTuple):
    """The outputs of both sides to a prompt, those of the first side first.

    Attributes:
        kernel: share of positions at which two of them are equal, outputs × outputs; 1 on the
            diagonal.
        n_a: how many are of the first side.
    """

    kernel: Floats
    n_a: int

    @property
    def n_b(self) -> int:
        """How many are of the second side."""
        return len(self.kernel) - self.n_a

    @property
    def varies(self) -> bool:
        """Whether any two outputs differ; where none do, every way to deal them is the same."""
        return bool((self.kernel < 1.0).any())


def pad_outputs(outputs: Sequence[Output], length: int) -> Ints:
    """The outputs as numbers, equal for equal units; outputs × ``length``, cut or padded."""
    padded = np.full((len(outputs), length), _PADDING, np.int64)
    numbers: dict[str, int] = {}
    for row, output in enumerate(outputs):
        cut = output[:length]
        if isinstance(cut, str):
            units = np.frombuffer(cut.encode("utf-32-le", "surrogatepass"), "<u4")
            padded[row, : units.size] = units
        else:
            padded[row, : len(cut)] = [numbers.setdefault(unit, len(numbers)) for unit in cut]
    return padded


def hamming_kernel(rows: Ints, columns: Ints | None = None) -> Floats:
    """The share of positions at which each row equals each column; None takes the rows again.

    Args:
        rows, columns: as :func:`pad_outputs` gives them, of one length.
    """
    distinct, place = _distinct(rows)
    others, other_place = (distinct, place) if columns is None else _distinct(columns)
    length = rows.shape[1]
    if not length:  # nothing but empty outputs
        return np.ones((len(place), len(other_place)))
    equal = np.array([(others == row).sum(axis=1) for row in distinct], np.float64)
    return (equal / length)[np.ix_(place, other_place)]


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """The distinct rows, in order of appearance, and the place of each row among them."""
    places: dict[bytes, int] = {}
    place = np.array([places.setdefault(row.tobytes(), len(places)) for row in rows], np.int64)
    _, first = np.unique(place, return_index=True)
    return rows[first], place
