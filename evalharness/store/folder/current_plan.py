"""Which rows of a run folder its newest plan asks for: one count for every command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalharness.columnar.row_store import Codes, Keys

if TYPE_CHECKING:
    import pyarrow as pa

from typing import TYPE_CHECKING

from evalharness.columnar.arrow_ops import where_in

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.store.folder.run import Run
    from evalharness.store.folder.run_folder import Manifest


class Asked:
    """The newest plan of a folder, as far as rows tell whether it asks for them.

    Attributes:
        settings, prompts: those of the newest plan, as Arrow tables.
        repeats: trials of each prompt under each setting; None where no plan says: of an imported
            run, and of a benchmark, whose load points repeat as often as their load takes.
    """

    def __init__(self, settings: pa.Table, prompts: pa.Table, manifest: Manifest) -> None:
        self.settings, self.prompts = (t.filter(t["active"]) for t in (settings, prompts))
        self.repeats: int | None = None
        width = len(self.settings) * len(self.prompts)
        if manifest.planned and width and not _has_load(self.settings):
            self.repeats = manifest.planned // width

    @classmethod
    def of(cls, run: Run) -> Asked:
        """The newest plan of a run."""
        return cls(run.table("settings"), run.table("prompts"), run.manifest)

    def rows(self, table: pa.Table) -> pa.Table:
        """The rows the plan asks for.

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


def _has_load(settings: pa.Table) -> bool:
    """Whether settings are those of a benchmark; an older table has no such column."""
    if "load_json" not in settings.column_names:
        return False
    return settings["load_json"].null_count < len(settings)


Bools = NDArray[np.bool_]


class Chosen:
    """Tells which rows a plan asks for, block by block, from the codes of their columns."""

    def __init__(self, asked: Asked) -> None:
        self._repeats = asked.repeats
        self._keys = {name: Keys() for name in ("setting_id", "prompt_id")}
        self._among = {
            "setting_id": _Among(asked.settings["setting_id"].to_pylist()),
            "prompt_id": _Among(asked.prompts["prompt_id"].to_pylist()),
        }

    def rows(self, keys: Mapping[str, Keys], codes: Mapping[str, Codes], repeat: Any) -> Bools:
        """The rows asked for.

        Args:
            keys: what the codes stand for; the same for every block.
            codes: of setting_id and prompt_id.
            repeat: column of the rows.
        """
        found = np.ones(len(codes["setting_id"]), np.bool_)
        for name, among in self._among.items():
            found &= among.rows(keys[name], codes[name])
        if self._repeats is not None:
            found &= np.asarray(repeat) < self._repeats
        return found

    def rows_of(self, rows: pa.Table) -> Bools:
        """The same from the columns themselves, dictionaries of texts."""
        codes = {
            name: keys.codes(rows.column(name).combine_chunks())
            for name, keys in self._keys.items()
        }
        return self.rows(self._keys, codes, rows["repeat"])


class _Among:
    """Whether a value is among some, by its code."""

    def __init__(self, wanted: Iterable[Any]) -> None:
        self._wanted = set(wanted)
        self._found = np.zeros(0, np.bool_)  # by code

    def rows(self, keys: Keys, codes: Codes) -> Bools:
        new = [value in self._wanted for value in keys.values[len(self._found) :]]
        self._found = np.append(self._found, np.array(new, np.bool_))
        return self._found[codes]
