"""``evalharness export RUN --format csv|jsonl``: records out, to stdout or a file."""

from __future__ import annotations

import base64
import csv
import json
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from evalharness.cli.output_files import target_of
from evalharness.errors import EXIT_OK
from evalharness.importing.columns import COLUMN_PARAMS
from evalharness.pricing.cost_columns import cost_columns
from evalharness.process.text import plural
from evalharness.report.build.overrides import parse_overrides
from evalharness.report.build.scoring import Options, price_book, scored_run, stored_config
from evalharness.schema import RECORDS
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_RECORDED = frozenset(COLUMN_PARAMS)  # parameters that every record holds

# A spreadsheet takes a cell that begins like this for a formula (OWASP, CSV injection); the last
# four are the full-width forms, which some take for the plain ones.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Asked(NamedTuple):
    """What was asked for besides the run.

    ``form`` is csv or jsonl; ``out`` a file, None is stdout; ``overrides`` are ``scoring=…`` and
    the like; ``pricing`` is a price file over the run's own and the shipped ones.
    """

    form: str
    out: str | None = None
    raw_cells: bool = False
    overrides: Sequence[str] = ()
    pricing: str | None = None


def export(run_name: str, asked: Asked) -> int:
    """Write every record with its answer, its score and what it was asked; whole or not at all.

    The columns are those of the records table, with the ``label`` of the setting and ``cost_usd``,
    and beside them what ``import`` needs to make the same run of it: see :func:`_beside`.
    ``answer`` and the primary ``score`` are those of the run's scoring, or of ``scoring=…`` and
    ``answer=…`` among the overrides; without a scorer (without an extraction) the column is left
    out, for an empty one would say that none was found. ``cost_usd`` is by the prices of now, in US
    dollars; null where it is not known.

    In CSV, text cells a spreadsheet would run as a formula get a leading ``'`` unless
    ``raw_cells``; JSONL is always exact.
    """
    pricing = None if asked.pricing is None else Path(asked.pricing)
    options = parse_overrides(asked.overrides, pricing=pricing)
    run = Run.open(run_name)
    table = run.table("records")
    columns = _named(run, _priced(run, _judged(run, table, options), options))
    beside = _beside(run, cells=asked.form == "csv")
    names = [*columns.column_names, *beside.names]
    with _target(asked.out) as file:
        if asked.form == "jsonl":
            for row in _rows(columns):
                whole = {**row, **beside.of(row)}
                file.write(json.dumps(whole, ensure_ascii=False, default=_plain) + "\n")
        else:
            # CR LF (RFC 4180): the module quotes only those line ends that are in this text, and a
            # carriage return in an answer must not begin a row.
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(names)
            for row in _rows(columns):
                whole = {**row, **beside.of(row)}
                writer.writerow([_cell(whole.get(name), raw=asked.raw_cells) for name in names])
    if asked.out is not None:
        print(f"{plural(len(table), 'record')} written to {asked.out}", file=sys.stderr)
    return EXIT_OK


def _judged(run: Run, records: pa.Table, options: Options) -> pa.Table:
    """The records with the answers and scores of now; a column nothing defines is left out."""
    import numpy as np
    import pyarrow as pa

    scored = scored_run(run, records, run.table("prompts"), options)
    values = next(iter(scored.scores.values()), None)
    score = None if values is None else pa.array(values, pa.float64(), mask=np.isnan(values))
    if records["extra_json"].null_count == len(records):
        records = records.drop_columns(["extra_json"])
    for name, found in (("answer", scored.answers), ("score", score)):
        place = records.column_names.index(name)
        if found is None:
            records = records.remove_column(place)
        else:
            records = records.set_column(place, name, found)
    return records


def _priced(run: Run, records: pa.Table, options: Options) -> pa.Table:
    """The records with ``cost_usd``, in the place of a cost they were imported with."""
    import numpy as np
    import pyarrow as pa

    costs = cost_columns(records, price_book(options, stored_config(run))).cost_usd
    place = records.column_names.index("cost_usd_imported")
    filled = pa.array(costs, pa.float64(), mask=np.isnan(costs))
    return records.set_column(place, "cost_usd", filled)


def _named(run: Run, records: pa.Table) -> pa.Table:
    """The records with the ``label`` of their setting, as reports show it, behind its id."""
    import pyarrow as pa

    labels = {setting.setting_id: setting.label for setting in run.setting_list}
    found = [labels.get(str(setting_id)) for setting_id in records["setting_id"].to_pylist()]
    place = records.column_names.index("setting_id") + 1
    return records.add_column(place, "label", pa.array(found, pa.string()))


class Beside(NamedTuple):
    """Columns that stand in the tables of prompts and settings: ``names``, and values by id."""

    names: list[str]
    prompts: dict[str, dict[str, Any]]
    settings: dict[str, dict[str, Any]]

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        """What belongs to one record; absent where it is null."""
        about = self.prompts.get(row["prompt_id"], {})
        return {**about, **self.settings.get(row["setting_id"], {})}


def _beside(run: Run, *, cells: bool) -> Beside:
    """``target cluster tags messages`` of prompts; system, template, other parameters of settings.

    In CSV, whose cells are texts, targets that are not all texts stand in ``target_json``.

    Named as ``import`` reads them. A parameter that shares its name with a column of the records
    (``logprobs``) is called ``param.NAME``.
    """
    taken = {column.name for column in RECORDS}
    rows = run.table("prompts").to_pylist()
    targets = [_decoded(row["target_json"]) for row in rows]
    as_json = cells and any(not isinstance(t, str) for t in targets if t is not None)
    prompts = {
        str(row["prompt_id"]): _present(
            target=None if as_json else target,
            target_json=row["target_json"] if as_json else None,
            cluster=row["cluster"],
            tags=row["tags"] or None,
            messages=_decoded(row["messages_json"]),
        )
        for row, target in zip(rows, targets, strict=True)
    }
    settings: dict[str, dict[str, Any]] = {}
    for setting in run.setting_list:
        params = dict(setting.params)
        extra: dict[str, Any] = params.pop("extra", None) or {}
        shape = _present(system=setting.system, template=setting.template)
        own = {name: value for name, value in params.items() if name not in _RECORDED}
        renamed = {f"param.{k}" if k in taken else k: v for k, v in own.items()}
        others = {f"extra.{name}": value for name, value in extra.items()}
        settings[setting.setting_id] = _present(**shape, **renamed, **others)
    found = [*prompts.values(), *settings.values()]
    return Beside(list(dict.fromkeys(name for row in found for name in row)), prompts, settings)


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _decoded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


@contextmanager
def _target(out: str | None) -> Generator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    target = target_of(out)
    aside = target.with_name(f".{target.name}.tmp")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1_000):
        yield from batch.to_pylist()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()  # as import reads it
    raise TypeError(type(value).__name__)


def _cell(value: Any, *, raw: bool) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if not raw and value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return value if isinstance(value, int | float) else _plain(value)
