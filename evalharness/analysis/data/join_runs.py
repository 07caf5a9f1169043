"""Runs joined by prompt: one prompts × columns matrix a metric, for any number of runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.comparison.matching import Column
from evalharness.analysis.data.frame import Frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Joined(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """Frames side by side; the rows of every matrix are ``prompt_ids``, its columns ``columns``."""

    frames: tuple[Frame, ...]
    columns: tuple[Column, ...]
    prompt_ids: tuple[str, ...]
    rows: tuple[Ints, ...]  # for each frame, the joined row of each of its prompts

    @classmethod
    def of(cls, frames: Mapping[str, Frame]) -> Joined:
        """Join frames by ``prompt_id``; keys are the names of the runs."""
        places: dict[str, int] = {}
        for frame in frames.values():
            for prompt_id in frame.prompt_ids:
                places.setdefault(prompt_id, len(places))
        columns: list[Column] = []
        for run, frame in frames.items():
            for index, setting_id in enumerate(frame.setting_ids):
                columns.append(
                    Column(
                        run=run,
                        setting_id=setting_id,
                        label=frame.label(index),
                        values=frame.params(index),
                        place=len(columns),
                    )
                )
        return cls(
            frames=tuple(frames.values()),
            columns=tuple(columns),
            prompt_ids=tuple(places),
            rows=tuple(
                np.array([places[name] for name in frame.prompt_ids], dtype=np.int64)
                for frame in frames.values()
            ),
        )

    @cached_property
    def clusters(self) -> Ints | None:
        """One cluster number a joined prompt; None when no run names clusters.

        A prompt belongs where the first run that has it says.
        """
        if all(frame.clusters is None for frame in self.frames):
            return None
        found = np.full(len(self.prompt_ids), -1, dtype=np.int64)
        used = 0
        for frame, rows in zip(self.frames, self.rows, strict=True):
            if frame.clusters is None:
                continue
            new = found[rows] < 0
            found[rows[new]] = frame.clusters[new] + used
            used += int(frame.clusters.max(initial=-1)) + 1
        alone = np.flatnonzero(found < 0)
        found[alone] = used + np.arange(alone.size)
        return found

    def values(self, metric: str) -> Floats:
        """Return the metric of each prompt under each column, NaN where unknown."""
        return self._stack([frame.per_prompt(metric) for frame in self.frames], np.nan)

    def repeats(self, metric: str) -> Ints:
        """Return how many usable repeats stand behind each value."""
        return self._stack([frame.repeats(metric) for frame in self.frames], 0)

    @cached_property
    def trials(self) -> Ints:
        """How many trials each prompt has under each column."""
        return self._stack([frame.counts() for frame in self.frames], 0)

    @cached_property
    def errors(self) -> Ints:
        """How many of the trials ended in an error."""
        return self._stack([frame.counts("error") for frame in self.frames], 0)

    def targets(self) -> Bools:
        """Say which joined prompts have a target in any run."""
        found = np.zeros(len(self.prompt_ids), np.bool_)
        for frame, rows in zip(self.frames, self.rows, strict=True):
            found[rows] |= frame.has_target
        return found

    def observations(
        self, metric: str, columns: tuple[Column, ...], prompts: Ints
    ) -> tuple[Floats, Ints]:
        """Return the known values of a numeric column of records, and the joined row of each.

        Only records of the given joined rows.
        """
        wanted = np.zeros(len(self.prompt_ids), np.bool_)
        wanted[prompts] = True
        values: list[Floats] = []
        rows: list[Ints] = []
        for frame, setting, places in (self._origin(column) for column in columns):
            inside = frame.rows_of(setting)
            value, row = self._numbers(frame, metric)[inside], places[frame.prompt[inside]]
            known = frame.usable[inside] & np.isfinite(value) & wanted[row]
            values.append(value[known])
            rows.append(row[known])
        return np.concatenate(values), np.concatenate(rows)

    @cached_property
    def _decoded(self) -> dict[tuple[int, str], Floats]:
        """The column decoded last, by frame and name."""
        return {}

    def _numbers(self, frame: Frame, metric: str) -> Floats:
        key = (id(frame), metric)
        if key not in self._decoded:
            # Comparisons come metric by metric: the column before is not asked for again.
            for old in [old for old in self._decoded if old[1] != metric]:
                del self._decoded[old]
            self._decoded[key] = frame.values(metric)
        return self._decoded[key]

    def _origin(self, column: Column) -> tuple[Frame, int, Ints]:
        """Find the frame of a column, its setting there, and the joined rows of its prompts."""
        place = column.place
        for frame, rows in zip(self.frames, self.rows, strict=True):
            if place < len(frame.setting_ids):
                return frame, place, rows
            place -= len(frame.setting_ids)
        raise IndexError(column.place)

    def _stack(self, blocks: list[Any], empty: float) -> Any:
        """Blocks of the frames as one matrix; prompts a frame lacks get ``empty``."""
        if len(self.frames) == 1:
            return blocks[0]
        placed: list[Any] = []
        for block, rows in zip(blocks, self.rows, strict=True):
            whole = np.full((len(self.prompt_ids), block.shape[1]), empty, dtype=block.dtype)
            whole[rows] = block
            placed.append(whole)
        return np.concatenate(placed, axis=1)
