"""Which rows of a run folder its newest plan asks for: one count for every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalharness.arrow import where_in

if TYPE_CHECKING:
    import pyarrow as pa

    from evalharness.store.folder import Manifest
    from evalharness.store.run import Run


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
