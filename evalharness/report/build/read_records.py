"""Reading the records of a run part by part: filtered, encoded, and handed to the scorers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalharness.columnar.row_store import Codes, ColumnStore
from evalharness.columnar.text_pool import OUTPUTS, TextPool
from evalharness.process.tuning import short_switch_interval
from evalharness.report.build.load_points import LoadSection
from evalharness.scoring.run_scores import RunScorer
from evalharness.scoring.unique_outputs import KEY_COLUMNS, TEXT_COLUMNS
from evalharness.store.folder.current_plan import BlockFilter, PlanFilter
from evalharness.store.parts.streaming_read import Snapshot, key_columns

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT_COLUMNS = list(TEXT_COLUMNS)


class RecordReader:
    """Reads the records that are reported.

    Args:
        load: selects the records of a benchmark that count.
        plan_filter: selects the rows of the newest plan; None takes all.
        texts: numbers the outputs.
        columns: the columns to read.

    Attributes:
        records: the records read; columns of outputs hold numbers of the texts.
        outside: how many records are not in the plan.
    """

    def __init__(
        self,
        load: LoadSection,
        plan_filter: PlanFilter | None,
        texts: TextPool,
        columns: list[str],
    ) -> None:
        self._load = load
        self._block_filter = None if plan_filter is None else BlockFilter(plan_filter)
        self._texts = texts
        self._columns = columns
        self.records = ColumnStore(key_columns("records", columns))
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
                mask = self._load.reported_mask(part, has_phases)
                if mask is not None:
                    part = part.filter(mask)
                if len(part):
                    self._add(part, scorer)

    def _add(self, part: pa.Table, scorer: RunScorer) -> None:
        encoders = self.records.encoders
        codes = {name: encoders[name].codes(part[name].combine_chunks()) for name in encoders}
        if self._block_filter is not None:
            mask = self._block_filter.mask(encoders, codes, part["repeat"])
            if not mask.all():
                self.outside += int((~mask).sum())
                part = part.filter(mask)
                codes = {name: column[mask] for name, column in codes.items()}
        if not len(part):
            return
        for index, name in enumerate(part.column_names):
            if name in OUTPUTS:
                part = part.set_column(index, name, self._texts.add(part[name]))
        self.records.add(part, codes)
        text_codes = scorer.encode(part.select(_TEXT_COLUMNS), are_codes=True)
        scorer.add({**_key_codes(codes), **text_codes})


def _key_codes(codes: dict[str, Codes]) -> dict[str, Codes]:
    return {name: codes[name] for name in KEY_COLUMNS}
