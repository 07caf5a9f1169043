"""Filters for the rows of a run folder: those of its newest plan, and those of some settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.arrow_ops import where_in
from evalharness.columnar.row_store import Codes, DictionaryEncoder

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.store.folder.run import Run
    from evalharness.store.folder.run_folder import Manifest


class PlanFilter:
    """The newest plan of a run folder, as a filter for tables.

    Attributes:
        settings, prompts: those of the newest plan, as Arrow tables.
        repeats: trials of each prompt under each setting; None where no plan says: of an imported
            run, and of a benchmark, whose load points repeat as often as their load takes.
    """

    def __init__(self, settings: pa.Table, prompts: pa.Table, manifest: Manifest) -> None:
        self.settings, self.prompts = (
            table.filter(table["in_current_plan"]) for table in (settings, prompts)
        )
        self.repeats: int | None = None
        n_cells = len(self.settings) * len(self.prompts)
        if manifest.planned and n_cells and not _has_load(self.settings):
            self.repeats = manifest.planned // n_cells

    @classmethod
    def of(cls, run: Run) -> PlanFilter:
        """The newest plan of a run."""
        return cls(run.table("settings"), run.table("prompts"), run.manifest)

    def select(self, table: pa.Table) -> pa.Table:
        """The rows that belong to the plan.

        Args:
            table: with the columns setting_id and prompt_id, and repeat if that is to count.
        """
        table = where_in(table, "setting_id", self.settings["setting_id"])
        table = where_in(table, "prompt_id", self.prompts["prompt_id"])
        if self.repeats is None or "repeat" not in table.column_names:
            return table
        import pyarrow.compute

        compute: Any = pyarrow.compute
        return table.filter(compute.less(table["repeat"], self.repeats))


def only_settings(table: pa.Table, setting_ids: Sequence[str]) -> pa.Table:
    """The rows of these settings; all where none is named."""
    if not setting_ids:
        return table
    import pyarrow as pa

    return where_in(table, "setting_id", pa.chunked_array([list(setting_ids)], pa.string()))


def _has_load(settings: pa.Table) -> bool:
    """Whether settings are those of a benchmark; an older table has no such column."""
    if "load_json" not in settings.column_names:
        return False
    return settings["load_json"].null_count < len(settings)


Mask = NDArray[np.bool_]


class BlockFilter:
    """The same filter for a table that is read block by block, as dictionary codes of columns."""

    def __init__(self, plan: PlanFilter) -> None:
        self._repeats = plan.repeats
        self._keys = {name: DictionaryEncoder() for name in ("setting_id", "prompt_id")}
        self._filters = {
            "setting_id": _ValueFilter(plan.settings["setting_id"].to_pylist()),
            "prompt_id": _ValueFilter(plan.prompts["prompt_id"].to_pylist()),
        }

    def mask(
        self, keys: Mapping[str, DictionaryEncoder], codes: Mapping[str, Codes], repeat: Any
    ) -> Mask:
        """Which rows of a block belong to the plan.

        Args:
            keys: the encoders that made the codes; the same for every block.
            codes: of setting_id and prompt_id.
            repeat: the repeat column of the rows.
        """
        mask = np.ones(len(codes["setting_id"]), np.bool_)
        for name, value_filter in self._filters.items():
            mask &= value_filter.rows(keys[name], codes[name])
        if self._repeats is not None:
            mask &= np.asarray(repeat) < self._repeats
        return mask

    def mask_of_table(self, rows: pa.Table) -> Mask:
        """The same for a table whose setting_id and prompt_id are dictionary columns."""
        codes = {
            name: keys.codes(rows.column(name).combine_chunks())
            for name, keys in self._keys.items()
        }
        return self.mask(self._keys, codes, rows["repeat"])


class _ValueFilter:
    """Whether the value behind a code is one of the wanted values."""

    def __init__(self, wanted: Iterable[Any]) -> None:
        self._wanted = set(wanted)
        self._is_wanted = np.zeros(0, np.bool_)  # by code

    def rows(self, keys: DictionaryEncoder, codes: Codes) -> Mask:
        """Which rows have a wanted value; new values of the encoder are looked up first."""
        new = [value in self._wanted for value in keys.values[len(self._is_wanted) :]]
        self._is_wanted = np.append(self._is_wanted, np.array(new, np.bool_))
        return self._is_wanted[codes]
