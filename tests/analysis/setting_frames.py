"""Small runs of several settings, written out row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from evalharness.analysis.data.frame import RunFrame
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.columnar.record_store import RecordStore
from evalharness.records import Variant
from evalharness.schema import arrow_type

_TYPES = {
    "repeat": "int", "score": "float", "latency_s": "float", "completion_tokens": "int",
    "cost_usd_imported": "money",
}  # fmt: skip


def frame(
    settings: dict[str, dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    *,
    clusters: dict[str, str] | None = None,
    targets: Sequence[str] | None = None,
    names: dict[str, dict[str, Variant]] | None = None,
) -> RunFrame:
    """Build a frame.

    Args:
        settings: parameters by setting id; ``provider``, ``model``, ``system`` are told apart.
        rows: records; ``setting_id`` and ``prompt_id`` are needed, ``repeat`` is numbered,
            ``status`` is ok, ``text`` is "x" unless said.
        clusters: by prompt id.
        targets: ids of the prompts that have a target; None is all.
        names: by setting id, the names of its values by axis.

    """
    seen: dict[tuple[str, str], int] = {}
    filled: list[dict[str, Any]] = []
    for row in rows:
        key = (row["setting_id"], row["prompt_id"])
        seen[key] = seen.get(key, -1) + 1
        filled.append({"repeat": seen[key], "status": "ok", "text": "x", **row})
    columns = sorted({name for row in filled for name in row})
    records = pa.table(
        {
            name: pa.array([row.get(name) for row in filled], arrow_type(_TYPES.get(name, "text")))
            for name in columns
        }
    )
    prompt_ids = sorted({row["prompt_id"] for row in filled})
    prompts = pa.table(
        {
            "prompt_id": pa.array(prompt_ids, pa.string()),
            "target_json": pa.array(
                ['"x"' if targets is None or p in targets else None for p in prompt_ids],
                pa.string(),
            ),
            "cluster": pa.array([(clusters or {}).get(p) for p in prompt_ids], pa.string()),
        }
    )
    return build_frame(RecordStore.of_table(records), prompts, _settings(settings, names or {}))


def _settings(
    settings: dict[str, dict[str, Any]], names: dict[str, dict[str, Variant]]
) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for setting_id, values in settings.items():
        own = ("provider", "model", "system", "template")
        params = {key: value for key, value in values.items() if key not in own}
        rows.append(
            {
                "setting_id": setting_id,
                "label": setting_id,
                "endpoint": "http://127.0.0.1:1",
                "params_json": msgspec.json.encode(params).decode(),
                "axes_json": msgspec.json.encode(
                    {axis: variant.name for axis, variant in names.get(setting_id, {}).items()}
                ).decode(),
                "variants_json": msgspec.json.encode(names.get(setting_id, {})).decode(),
                **{name: values.get(name) for name in own},
            }
        )
    return pa.Table.from_pylist(rows)


def score_rows(setting_id: str, scores: dict[str, Sequence[float | None]]) -> list[dict[str, Any]]:
    """Records of one setting from scores by prompt; None is an error."""
    return [
        {"setting_id": setting_id, "prompt_id": prompt_id, "status": "error", "text": None}
        if score is None
        else {"setting_id": setting_id, "prompt_id": prompt_id, "score": float(score)}
        for prompt_id, values in scores.items()
        for score in values
    ]


def text_rows(setting_id: str, texts: dict[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Records of one setting from texts by prompt."""
    return [
        {"setting_id": setting_id, "prompt_id": prompt_id, "text": text}
        for prompt_id, values in texts.items()
        for text in values
    ]
