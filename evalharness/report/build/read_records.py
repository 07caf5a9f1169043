"""Reading the records of a run part by part: filtered, encoded, and handed to the scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.columnar.record_store import RecordStore
from evalharness.process.tuning import short_switch_interval
from evalharness.report.build.load_points import LoadSection
from evalharness.scoring.run_scores import RunScorer
from evalharness.store.folder.current_plan import BlockFilter, PlanFilter, only_settings
from evalharness.store.parts.streaming_read import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa


class RecordReader:
    """Reads the records that are reported.

    Args:
        load: selects the records of a benchmark that count.
        plan_filter: selects the rows of the newest plan; None takes all.
        columns: the columns to read.
        settings: ids of the only settings that are reported; empty for all.

    Attributes:
        records: the records read.
        outside: how many records are not in the plan.
    """

    def __init__(
        self,
        load: LoadSection,
        plan_filter: PlanFilter | None,
        columns: list[str],
        settings: Sequence[str] = (),
    ) -> None:
        self._load = load
        self._settings = settings
        self._block_filter = None if plan_filter is None else BlockFilter(plan_filter)
        self._columns = columns
        self.records = RecordStore()
        self.outside = 0

    def read(self, stored: Snapshot, scorer: RunScorer, *, numbered: bool) -> None:
        """Read all records, and give them to the scorer.

        Raises:
            StorageError: a file is damaged.
        """

        def has_phases() -> bool:
            return bool(stored.columns_with_values(["phase"]))

        with short_switch_interval():
            for part in stored.parts(self._columns, numbered=numbered):
                part = only_settings(part, self._settings)
                mask = self._load.reported_mask(part, has_phases)
                if mask is not None:
                    part = part.filter(mask)
                if len(part):
                    self._add(part, scorer)

    def _add(self, part: pa.Table, scorer: RunScorer) -> None:
        codes = self.records.encode(part)
        if self._block_filter is not None:
            mask = self._block_filter.mask(self.records.encoders, codes, part["repeat"])
            if not mask.all():
                self.outside += int((~mask).sum())
                part = part.filter(mask)
                codes = {name: column[mask] for name, column in codes.items()}
        if len(part):
            self.records.add(part, codes)
            scorer.score_new_records()
