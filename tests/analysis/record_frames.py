"""Small runs written down as rows, turned into the tables a run folder would give."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.analysis.summary import SettingSummary, summarise
from evalharness.columnar.record_store import RecordStore
from evalharness.pricing import PriceBook
from evalharness.pricing.cost_columns import cost_columns
from evalharness.schema import arrow_schema

FILL = {"in_doubt": False, "text_sanitized": False, "trial_id": "t", "status": "ok"}


def records(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a records table of the stored schema; repeats are numbered where absent."""
    seen: dict[tuple[str, str], int] = {}
    full = []
    for row in rows:
        row = {"setting_id": "s", **FILL, **row}
        key = (row["prompt_id"], row["setting_id"])
        row.setdefault("repeat", seen.get(key, 0))
        seen[key] = seen.get(key, 0) + 1
        full.append(row)
    schema = arrow_schema("records")
    return pa.Table.from_pylist(full, schema=schema)


def frame_of(
    rows: list[dict[str, Any]],
    *,
    targets: dict[str, str] | None = None,
    clusters: dict[str, str] | None = None,
    settings: list[dict[str, Any]] | None = None,
    prompt_ids: list[str] | None = None,
    **given: Any,
) -> RunFrame:
    """A frame of the rows, with the prompts and settings they name."""
    table = records(rows)
    ids = prompt_ids or sorted(set(table["prompt_id"].to_pylist()))
    prompts = pa.table(
        {
            "prompt_id": pa.array(ids, pa.string()),
            "target_json": pa.array([(targets or {}).get(i) for i in ids], pa.string()),
            "cluster": pa.array([(clusters or {}).get(i) for i in ids], pa.string()),
        }
    )
    named = settings or [{"setting_id": i} for i in sorted(set(table["setting_id"].to_pylist()))]
    full = [{"label": r["setting_id"], "params_json": "{}", "axes_json": "{}", **r} for r in named]
    setting_table = pa.Table.from_pylist(full, schema=arrow_schema("settings"))
    return build_frame(RecordStore.of_table(table), prompts, setting_table, **given)


def summary_of(frame: RunFrame, book: PriceBook | None = None) -> list[SettingSummary]:
    """The settings of a frame as a report has them; imported costs count without a price book."""
    return summarise(frame, cost_columns(frame.records, book or PriceBook([])))


def cell(texts: str | list[Any], prompt: str = "q", **fields: Any) -> list[dict[str, Any]]:
    """Repeats of one prompt, one a text; a text of None is an error."""
    plain = {"prompt_id": prompt, **fields}
    return [
        {**plain, "text": text} if text is not None else {**plain, "status": "error"}
        for text in texts
    ]
