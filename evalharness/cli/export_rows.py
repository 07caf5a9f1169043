"""Records as CSV or JSONL, to stdout or a file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from evalharness.cli.marks.columns import with_marks
from evalharness.cli.output_files import output_path
from evalharness.columnar.record_store import RecordStore
from evalharness.parameters import COLUMN_PARAMS
from evalharness.pricing import usage_columns
from evalharness.pricing.cost_columns import cost_columns
from evalharness.process.stdio import data_output
from evalharness.report.build.open_run import require_plan
from evalharness.report.build.scoring import (
    ReportOverrides,
    read_price_book,
    score_run,
)
from evalharness.report.words.cells import LINE_ENDS, cell_text, json_value
from evalharness.schema import RECORDS
from evalharness.scoring import run_scores
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_RECORDED_PARAMS = frozenset(p.name for p in COLUMN_PARAMS)  # parameters that every record holds


def export_records(
    run: Run, report_overrides: ReportOverrides, *, form: str, out: str | None, raw_cells: bool
) -> int:
    """Write every record with its answer, its score and what it was asked; their number.

    ``form`` is csv or jsonl; ``out`` a file, which is written whole or not at all, None is stdout.

    A record that a person marked has ``human_mark`` (pass or fail by most of its readers, null
    where they are split), ``human_note`` and ``reader``, of several readers a line each.

    The columns are those of the records table, with the ``label`` of the setting and ``cost_usd``,
    and what ``import`` needs to make the same run of it (:func:`_prompt_and_setting_columns`).
    ``answer`` and the primary ``score`` are those of the run's scoring, or of ``report_overrides``.
    Without a scorer (without an extraction) the column is left out: an empty one would say that no
    answer was found. ``cost_usd`` is by today's prices, in US dollars, null where
    it is not known; what was billed stands beside it in ``billed_usd``.

    In CSV, text cells a spreadsheet would run as a formula get a leading ``'`` unless
    ``raw_cells``; JSONL is always exact, and one record is one line to every program.
    """
    require_plan(run)
    table = run.table("records")
    used = dict.fromkeys((*run_scores.COLUMNS, *usage_columns.COLUMNS))
    store = RecordStore.of_table(table.select(list(used)))
    columns = _with_scores(run, table, store, report_overrides)
    columns = _with_labels(run, _with_cost(run, columns, store, report_overrides))
    columns = with_marks(run, columns)
    extra_columns = _prompt_and_setting_columns(run, cells=form == "csv")
    names = [*columns.column_names, *extra_columns.names]
    with open_output(out) as file:
        rows = ({**row, **extra_columns.of(row)} for row in _rows(columns))
        if form == "jsonl":
            for row in rows:
                line = json.dumps(row, ensure_ascii=False, default=json_value)
                file.write(line.translate(LINE_ENDS) + "\n")
        else:
            # CR LF (RFC 4180): the module quotes only those line ends that are in this text, and a
            # carriage return in an answer must not begin a row.
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(names)
            for row in rows:
                writer.writerow([cell_text(row.get(name), raw=raw_cells) for name in names])
    return len(table)


def _with_scores(
    run: Run, records: pa.Table, store: RecordStore, report_overrides: ReportOverrides
) -> pa.Table:
    """The records with today's answers and scores; a column that nothing defines is left out."""
    import numpy as np
    import pyarrow as pa

    scored = score_run(run, store, run.table("prompts"), report_overrides)
    values = next(iter(scored.scores.values()), None)
    score = None if values is None else pa.array(values, pa.float64(), mask=np.isnan(values))
    if records["extra_json"].null_count == len(records):
        records = records.drop_columns(["extra_json"])
    for name, column in (("answer", scored.answers), ("score", score)):
        position = records.column_names.index(name)
        if column is None:
            records = records.remove_column(position)
        else:
            records = records.set_column(position, name, column)
    return records


def _with_cost(
    run: Run, records: pa.Table, store: RecordStore, report_overrides: ReportOverrides
) -> pa.Table:
    """The records with ``cost_usd`` in the position of the imported cost, which it replaces."""
    import numpy as np
    import pyarrow as pa

    costs = cost_columns(store, read_price_book(report_overrides, next(run.configs()))).computed_usd
    position = records.column_names.index("cost_usd_imported")
    costs_column = pa.array(costs, pa.float64(), mask=np.isnan(costs))
    return records.set_column(position, "cost_usd", costs_column)


def _with_labels(run: Run, records: pa.Table) -> pa.Table:
    """The records with the ``label`` of their setting, as reports show it, after its id."""
    import pyarrow as pa

    labels = {setting.setting_id: setting.label for setting in run.setting_list}
    column = [labels.get(str(setting_id)) for setting_id in records["setting_id"].to_pylist()]
    position = records.column_names.index("setting_id") + 1
    return records.add_column(position, "label", pa.array(column, pa.string()))


class PromptAndSettingColumns(NamedTuple):
    """Columns from the tables of prompts and settings: ``names``, and values by id."""

    names: list[str]
    prompts: dict[str, dict[str, Any]]
    settings: dict[str, dict[str, Any]]

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        """The values of one record; nulls are left out."""
        prompt_values = self.prompts.get(row["prompt_id"], {})
        return {**prompt_values, **self.settings.get(row["setting_id"], {})}


def _prompt_and_setting_columns(run: Run, *, cells: bool) -> PromptAndSettingColumns:
    """Target, cluster, tags, messages and turn of prompts; parameters and templates of settings.

    In CSV, whose cells are texts, targets that are not all texts are in ``target_json``.

    They are named as ``import`` reads them. A parameter that shares its name with a column of the
    records (an ``extra`` one called ``text``) is called ``param.NAME``.
    """
    reserved = {column.name for column in RECORDS}
    rows = run.table("prompts").to_pylist()
    targets = [_decode_json(row["target_json"]) for row in rows]
    as_json = cells and any(not isinstance(t, str) for t in targets if t is not None)
    prompts = {
        str(row["prompt_id"]): _without_nulls(
            target=None if as_json else target,
            target_json=row["target_json"] if as_json else None,
            cluster=row["cluster"],
            tags=row["tags"] or None,
            messages=_decode_json(row["messages_json"]),
            conversation=row["conversation"],
            turn=row["turn"],
        )
        for row, target in zip(rows, targets, strict=True)
    }
    settings: dict[str, dict[str, Any]] = {}
    for setting in run.setting_list:
        params = dict(setting.params)
        extra: dict[str, Any] = params.pop("extra", None) or {}
        shape = _without_nulls(system=setting.system, template=setting.template)
        own = {name: value for name, value in params.items() if name not in _RECORDED_PARAMS}
        renamed = {f"param.{k}" if k in reserved else k: v for k, v in own.items()}
        others = {f"extra.{name}": value for name, value in extra.items()}
        settings[setting.setting_id] = _without_nulls(**shape, **renamed, **others)
    value_rows = [*prompts.values(), *settings.values()]
    names = list(dict.fromkeys(name for row in value_rows for name in row))
    return PromptAndSettingColumns(names, prompts, settings)


def _without_nulls(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _decode_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


@contextmanager
def open_output(out: str | None) -> Generator[TextIO]:
    """A file that is written whole or not at all; stdout where ``out`` is None."""
    if out is None:
        yield data_output()
        return
    target = output_path(out)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1_000):
        yield from batch.to_pylist()
