"""Totals over all sealed parts of a run, and checks of them: duplicates, missing trials, counts.

Rows are kept as Arrow columns, so that a million trials take some tens of MB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import where_in, where_not_in
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.run_folder import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

_CELL = ["prompt_id", "setting_id", "repeat"]


class Totals:
    """Collects record and attempt parts one by one; its methods then report problems.

    Attributes:
        records, attempts, in_doubt: rows, of parts listed in the manifest or not.
        listed_records, listed_in_doubt, statuses: the same of listed parts alone.
    """

    def __init__(self) -> None:
        self.records = self.attempts = self.in_doubt = 0
        self.listed_records = self.listed_in_doubt = 0
        self.statuses: Counter[str] = Counter()
        self._cells: list[pa.Table] = []
        self._finals: list[pa.Table] = []
        self._with_attempts: list[pa.Table] = []

    def add_records(self, rows: pa.Table, *, listed: bool, paired: bool) -> None:
        """Add the rows of a record part; ``paired``: its attempts part was added, too."""
        self._cells.append(rows.select(["trial_id", *_CELL]).cast(_schema()))
        self.records += len(rows)
        if paired:
            self._with_attempts.append(rows.select(["trial_id"]))
        if listed:
            self.listed_records += len(rows)
            self.statuses.update(_counts(rows["status"]))

    def add_attempts(self, rows: pa.Table, *, listed: bool) -> None:
        """Add the rows of an attempts part."""
        in_doubt = _counts(rows["outcome"])["in_doubt"]
        self._finals.append(rows.filter(rows["final"]).select(["trial_id"]))
        self.attempts += len(rows)
        self.in_doubt += in_doubt
        if listed:
            self.listed_in_doubt += in_doubt

    def sealed_trials(self, trial_ids: list[str]) -> set[str]:
        """Those of the given trials that have a record in a part."""
        import pyarrow as pa

        table = pa.table({"trial_id": pa.array(trial_ids, pa.string())})
        if not self._cells:
            return set()
        return {str(i) for i in where_in(table, "trial_id", self._ids()).column(0).to_pylist()}

    def _ids(self) -> Any:
        import pyarrow as pa

        return pa.concat_tables([t.select(["trial_id"]) for t in self._cells]).column(0)

    def problems(self) -> Iterator[str]:
        """Problems of the rows themselves, independent of the plan."""
        import pyarrow as pa

        if not self._cells:
            return
        cells = pa.concat_tables(self._cells)
        for noun, columns in (("trials", ["trial_id"]), ("cells of the plan", _CELL)):
            groups = cells.select(columns).unify_dictionaries().group_by(columns)
            group_counts = groups.aggregate([([], "count_all")])
            repeated = group_counts.filter(_is_greater(group_counts["count_all"], 1))
            if len(repeated):
                first = " ".join(str(repeated[name][0]) for name in columns)
                yield f"{len(repeated)} {noun} have more than one record: {first}"
        if self._with_attempts:
            finals = pa.concat_tables(self._finals)["trial_id"]
            paired = pa.concat_tables(self._with_attempts)
            ids = where_not_in(paired, "trial_id", finals)["trial_id"]
            if len(ids):
                yield f"{len(ids)} records have no final attempt: {ids[0]}"

    def missing(self, manifest: Manifest, prompts: pa.Table, settings: pa.Table) -> Iterator[str]:
        """Missing trials of a complete run; records without their prompt or setting."""
        import pyarrow as pa

        cells = pa.concat_tables([_schema().empty_table(), *self._cells])
        for column, lists in (("prompt_id", prompts), ("setting_id", settings)):
            unknown = len(where_not_in(_decode_column(cells, column), column, lists[column]))
            if unknown:
                yield f"{unknown} records have a {column} that {column[:-3]}s.parquet lacks"
        if manifest.status != "complete" or not manifest.planned:
            return
        plan = PlanFilter(settings, prompts, manifest)
        for column in _CELL[:2]:
            cells = _decode_column(cells, column)
        count = len(plan.select(cells))
        if plan.repeats is None:
            # A load point that was measured again has more requests.
            if count < manifest.planned:
                yield f"the run is complete, and holds {count} of {manifest.planned} requests"
        elif count != manifest.planned:
            yield f"the run is complete, and holds {count} of {manifest.planned} planned trials"

    def differences(self, manifest: Manifest) -> Iterator[str]:
        """Differences between the manifest's counts and the parts that it lists."""
        listed = manifest.recorded, dict(manifest.by_status), manifest.in_doubt
        counted = self.listed_records, dict(self.statuses), self.listed_in_doubt
        names = ("recorded", "by_status", "in_doubt")
        for name, value, actual in zip(names, listed, counted, strict=True):
            if value != actual:
                yield f"{name} is {value}, and the parts hold {actual}"


def _schema() -> pa.Schema:
    """The schema of the rows that are kept; ids with few distinct values are dictionaries."""
    import pyarrow as pa

    key = pa.dictionary(pa.int32(), pa.string())
    fields: list[pa.Field[Any]] = [
        pa.field("trial_id", pa.string()), pa.field("prompt_id", key), pa.field("setting_id", key),
        pa.field("repeat", pa.int64()),
    ]  # fmt: skip
    return pa.schema(fields)


def _counts(column: Any) -> Counter[str]:
    return Counter({row["values"]: row["counts"] for row in column.value_counts().to_pylist()})


def _decode_column(table: pa.Table, column: str) -> pa.Table:
    """A table whose dictionary column is plain text."""
    import pyarrow as pa

    return table.set_column(
        table.schema.get_field_index(column), column, table[column].cast(pa.string())
    )


def _is_greater(values: Any, limit: Any) -> Any:
    import pyarrow.compute as compute

    calls: Any = compute
    return calls.greater(values, limit)
