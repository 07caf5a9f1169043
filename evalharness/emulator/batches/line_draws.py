"""What chance does to the lines of a batch, decided by the seed and the batch's number."""

from __future__ import annotations

import random

import msgspec

from evalharness.emulator.batches.batch_job import LineFate, LineResult
from evalharness.emulator.options import EmulatorOptions


class LineDraw(msgspec.Struct, frozen=True):
    """What is drawn for a line."""

    fails: bool
    expires: bool
    doubled: bool


class LineDraws:
    """The draws of one batch.

    The batch's number is part of the seed: a line that is sent again in another batch draws anew.
    """

    def __init__(self, options: EmulatorOptions, ordinal: int, lines: int) -> None:
        self._options = options
        self._random = random.Random(f"evalharness emulator batch {options.seed} {ordinal}")
        self.lines = [self._draw() for _ in range(lines)]

    def _draw(self) -> LineDraw:
        # Three numbers a line whatever the shares are, so that no share changes another's draws.
        fails, expires, doubled = (self._random.random() for _ in range(3))
        return LineDraw(
            fails=fails < self._options.batch_fail,
            expires=expires < self._options.batch_expire,
            doubled=doubled < self._options.batch_duplicate,
        )

    def written(self, results: list[LineResult]) -> list[LineResult]:
        """The results as they are written: some twice, in another order, one of nobody's."""
        rows: list[LineResult] = []
        for result, draw in zip(results, self.lines, strict=True):
            rows += [result, result] if draw.doubled else [result]
        served = [row for row in rows if row.fate is LineFate.SUCCEEDED]
        if self._options.batch_unknown and served:
            unknown = f"unknown-{self._random.getrandbits(32):08x}"
            rows.append(msgspec.structs.replace(served[0], custom_id=unknown))
        if self._options.batch_shuffle:
            self._random.shuffle(rows)
        return rows
