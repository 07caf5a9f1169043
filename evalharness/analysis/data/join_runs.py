"""Runs joined by prompt: a matrix of prompts × columns a metric; a column is a setting of a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from evalharness.analysis.data.cell_means import cell_means, cell_repeats, tpot_s
from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.rate_samples import RateSample
from evalharness.analysis.data.shown_values import sent_value, shown_values

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class SettingColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of one run, a column of the joined matrices.

    Attributes:
        run: name of the run the setting belongs to.
        setting_id: its id there.
        label: what varies within the run, in words.
        values: parameters, provider, model, system, template, by name where they have one: null
            ones are absent.
        sent: what stands behind each of ``values`` that is a name, by axis.
        index: its position in the joined matrices.

    """

    run: str
    setting_id: str
    label: str
    values: dict[str, Any]
    sent: dict[str, Any] = {}
    index: int


class JoinedRuns(msgspec.Struct, frozen=True, eq=False, dict=True, kw_only=True):
    """Frames side by side; the rows of every matrix are ``prompt_ids``, its columns ``columns``."""

    frames: tuple[RunFrame, ...]
    columns: tuple[SettingColumn, ...]
    prompt_ids: tuple[str, ...]
    rows: tuple[Ints, ...]  # for each frame, the joined row of each of its prompts

    @classmethod
    def of(cls, frames: Mapping[str, RunFrame]) -> JoinedRuns:
        """Join frames by ``prompt_id``; keys are the names of the runs."""
        row_of: dict[str, int] = {}
        for frame in frames.values():
            for prompt_id in frame.prompt_ids:
                row_of.setdefault(prompt_id, len(row_of))
        columns: list[SettingColumn] = []
        for (run, frame), shown in zip(frames.items(), shown_values(frames), strict=True):
            for index, setting_id in enumerate(frame.setting_ids):
                sent = {axis: sent_value(frame, index, axis) for axis in shown[index]}
                columns.append(
                    SettingColumn(
                        run=run,
                        setting_id=setting_id,
                        label=frame.label(index),
                        values=shown[index],
                        sent={k: v for k, v in sent.items() if v != shown[index][k]},
                        index=len(columns),
                    )
                )
        return cls(
            frames=tuple(frames.values()),
            columns=tuple(columns),
            prompt_ids=tuple(row_of),
            rows=tuple(
                np.array([row_of[name] for name in frame.prompt_ids], dtype=np.int64)
                for frame in frames.values()
            ),
        )

    @cached_property
    def clusters(self) -> Ints | None:
        """One cluster number a joined prompt; None when no run names clusters.

        A prompt has the cluster it has in the first run that contains it.
        """
        if all(frame.clusters is None for frame in self.frames):
            return None
        numbers = np.full(len(self.prompt_ids), -1, dtype=np.int64)
        used = 0
        for frame, rows in zip(self.frames, self.rows, strict=True):
            if frame.clusters is None:
                continue
            new = numbers[rows] < 0
            numbers[rows[new]] = frame.clusters[new] + used
            used += int(frame.clusters.max(initial=-1)) + 1
        alone = np.flatnonzero(numbers < 0)
        numbers[alone] = used + np.arange(alone.size)
        return numbers

    def values(self, metric: str) -> Floats:
        """Return the metric of each prompt under each column, NaN where unknown."""
        return self.stack([cell_means(frame, metric) for frame in self.frames], np.nan)

    def repeats(self, metric: str) -> Ints:
        """Return how many usable repeats stand behind each value."""
        return self.stack([cell_repeats(frame, metric) for frame in self.frames], 0)

    @cached_property
    def trials(self) -> Ints:
        """How many trials each prompt has under each column."""
        return self.stack([frame.counts() for frame in self.frames], 0)

    @cached_property
    def errors(self) -> Ints:
        """How many of the trials ended in an error."""
        return self.stack([frame.counts("error") for frame in self.frames], 0)

    def rate(self, metric: str, column: SettingColumn) -> RateSample | None:
        """A rate of the load point that stands for a column; None where it is unknown."""
        return self.frame_of(column).rates.get(metric, {}).get(column.setting_id)

    def targets(self) -> Bools:
        """Which joined prompts have a target in any run."""
        has_target = np.zeros(len(self.prompt_ids), np.bool_)
        for frame, rows in zip(self.frames, self.rows, strict=True):
            has_target[rows] |= frame.has_target
        return has_target

    def observations(
        self, metric: str, columns: tuple[SettingColumn, ...], prompts: Ints
    ) -> tuple[Floats, Ints]:
        """Return the known values of a numeric column of records, and the joined row of each.

        Only records of the given joined rows.
        """
        wanted = np.zeros(len(self.prompt_ids), np.bool_)
        wanted[prompts] = True
        values: list[Floats] = []
        rows: list[Ints] = []
        for frame, setting, joined_rows in (self.origin(column) for column in columns):
            part = frame.rows_of(setting)
            value, row = self._column_values(frame, metric)[part], joined_rows[frame.prompt[part]]
            known = frame.usable[part] & np.isfinite(value) & wanted[row]
            values.append(value[known])
            rows.append(row[known])
        return np.concatenate(values), np.concatenate(rows)

    @cached_property
    def _column_cache(self) -> dict[tuple[int, str], Floats]:
        """The column decoded last, by frame and name."""
        return {}

    def _column_values(self, frame: RunFrame, metric: str) -> Floats:
        key = (id(frame), metric)
        if key not in self._column_cache:
            # Comparisons come metric by metric: the column of the last one is not needed again.
            for old in [old for old in self._column_cache if old[1] != metric]:
                del self._column_cache[old]
            values = tpot_s(frame) if metric == "tpot_s" else frame.values(metric)
            self._column_cache[key] = values
        return self._column_cache[key]

    def frame_of(self, column: SettingColumn) -> RunFrame:
        """The run that a column belongs to."""
        return self.origin(column)[0]

    def origin(self, column: SettingColumn) -> tuple[RunFrame, int, Ints]:
        """Find the frame of a column, its setting there, and the joined rows of its prompts."""
        setting = column.index
        for frame, rows in zip(self.frames, self.rows, strict=True):
            if setting < len(frame.setting_ids):
                return frame, setting, rows
            setting -= len(frame.setting_ids)
        raise IndexError(column.index)

    def stack(self, blocks: list[Any], empty: float) -> Any:
        """Matrices of the frames as one; prompts that a frame lacks get ``empty``."""
        if len(self.frames) == 1:
            return blocks[0]
        matrices: list[Any] = []
        for block, rows in zip(blocks, self.rows, strict=True):
            matrix = np.full((len(self.prompt_ids), block.shape[1]), empty, dtype=block.dtype)
            matrix[rows] = block
            matrices.append(matrix)
        return np.concatenate(matrices, axis=1)
