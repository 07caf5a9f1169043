"""Correctly rounded sums: they do not depend on the order of their terms.

A plain sum rounds at every term, so that the same scores in another order give another mean, and
two settings that are equal differ by 1e-17. Here every term is split into slices with a common
unit, whose sums need no rounding (error-free vector transformation: Rump, Ogita and Oishi,
"Accurate floating-point summation", 2008); only adding up the slices rounds, once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evalharness.analysis.data.encode import Floats, Ints

_NOISE = 2.0**-48  # of the sum of magnitudes: what rounding the terms themselves leaves


def mean_of(values: Floats) -> float:
    """Mean of one or more numbers, the same in any order.

    A sum that is nothing but rounding of its terms, as that of differences that cancel out, is 0.
    """
    total = math.fsum(float(part.sum()) for part in _slices(values, len(values)))
    if abs(total) < _NOISE * float(np.abs(values).sum()):
        return 0.0
    return total / len(values)


def sums_by_group(group: Ints, values: Floats, groups: int) -> Floats:
    """Sum the values of each group 0, 1, … ``groups`` - 1; the same in any order."""
    largest = int(np.bincount(group, minlength=1).max())
    # Two terms round once, in either order.
    parts = [values] if largest <= 2 else _slices(values, largest)
    sums = [np.bincount(group, part, minlength=groups).astype(np.float64) for part in parts]
    return _add(sums, groups)


def sums_of_rows(values: Floats) -> Floats:
    """Sum each row of a matrix; the same in any order of its columns."""
    rows, columns = values.shape
    if columns <= 2:
        return values.sum(axis=1)
    return _add([part.sum(axis=1) for part in _slices(values, columns)], rows)


def _slices(values: Floats, terms: int) -> Iterator[Floats]:
    """Arrays that add up to the values; any ``terms`` elements of one have an exact sum."""
    rest = values
    while (largest := float(np.abs(rest).max(initial=0.0))) > 0.0:
        # A power of 2 above the sum of any `terms` magnitudes: adding it rounds to its own unit.
        exponent = math.frexp(largest)[1] + terms.bit_length()
        if not math.isfinite(largest) or exponent > 1023:
            yield rest  # beyond the range of floats there is no such power
            return
        scale = math.ldexp(1.0, exponent)
        part = (scale + rest) - scale
        yield part
        rest = rest - part


def _add(parts: list[Floats], size: int) -> Floats:
    """Add the sums of slices, rounding once."""
    if len(parts) <= 2:
        return sum(parts, np.zeros(size))
    return np.fromiter(map(math.fsum, zip(*(p.tolist() for p in parts), strict=True)), float, size)
