"""Runs written down as rows: records, attempts, prompts and settings as tables, and their money."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from evalharness.analysis.cost.cell_costs import CellCosts
from evalharness.analysis.cost.wasted_spend import AttemptSpending, WastedSpend
from evalharness.analysis.data.frame_builder import build_frame
from evalharness.columnar.record_store import RecordStore
from evalharness.pricing import PriceBook
from evalharness.pricing.attempts import AttemptCosts
from evalharness.pricing.cost_columns import CostColumns, cost_columns
from evalharness.pricing.price_files import parse_prices
from evalharness.schema import arrow_schema

PRICES = {
    "prices": [
        {"model": "m*", "price_usd_per_mtok": {"prompt": 1, "cached": "0.1", "completion": 4}},
        {
            "model": "thinker",
            "price_usd_per_mtok": {"prompt": 1, "completion": 2, "reasoning": 8},
            "tiers": [
                {
                    "above_prompt_tokens": 100,
                    "price_usd_per_mtok": {"prompt": 3, "completion": 6, "reasoning": 24},
                }
            ],
            "per_request_usd": "0.001",
        },
    ]
}
BOOK = PriceBook([parse_prices(PRICES, "test", table="test")])


class Written:
    """A run made of rows.

    A row names ``prompt_id``, ``setting_id`` and what it needs of the records' columns; ``score``
    is what its scorer said.
    """

    def __init__(
        self, rows: list[dict[str, Any]], tags: dict[str, list[str]] | None = None
    ) -> None:
        seen: dict[tuple[str, str], int] = {}
        full: list[dict[str, Any]] = []
        for row in rows:
            row = {"setting_id": "s", "prompt_id": "p", "status": "ok", "model": "m", **row}
            key = row["prompt_id"], row["setting_id"]
            row["repeat"] = seen[key] = seen.get(key, -1) + 1
            fixed = {"trial_id": "t", "in_doubt": False, "text_sanitized": False}
            full.append({**fixed, **{k: v for k, v in row.items() if k != "score"}})
        table = pa.Table.from_pylist(full, schema=arrow_schema("records"))
        self.records = RecordStore.of_table(table)
        ids = sorted({row["prompt_id"] for row in full})
        self.prompts = pa.table(
            {
                "prompt_id": pa.array(ids, pa.string()),
                "target_json": pa.array(['"x"'] * len(ids), pa.string()),
                "cluster": pa.nulls(len(ids), pa.string()),
                "tags": pa.array([(tags or {}).get(i, []) for i in ids], pa.list_(pa.string())),
            }
        )
        models = {row["setting_id"]: row["model"] for row in full}
        settings = [
            {"setting_id": i, "label": i, "model": models[i], "params_json": "{}",
             "axes_json": "{}", "in_current_plan": True}
            for i in sorted(models)
        ]  # fmt: skip
        self.settings = pa.Table.from_pylist(settings, schema=arrow_schema("settings"))
        scores = np.array([row.get("score", np.nan) for row in rows], np.float64)
        self.costs: CostColumns = cost_columns(self.records, BOOK)
        self.frame = build_frame(
            self.records,
            self.prompts,
            self.settings,
            scores={"exact": scores} if np.isfinite(scores).any() else {},
            cost_usd=self.costs.cost_usd,
        )
        self.spending = CellCosts.of(self.frame, self.costs, BOOK)


def attempts(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as an attempts table."""
    fixed = {
        "trial_id": "t", "prompt_id": "p", "setting_id": "s", "repeat": 0, "attempt": 1,
        "final": True, "outcome": "delivered", "status": "ok", "client_request_id": "c",
        "admitted_at": 0, "in_flight": 1,
    }  # fmt: skip
    return pa.Table.from_pylist([{**fixed, **row} for row in rows], schema=arrow_schema("attempts"))


def spent(table: pa.Table) -> AttemptSpending | None:
    """What attempts cost, taken up in two blocks."""
    waste = WastedSpend()
    for block in (table.slice(0, 2), table.slice(2)):
        waste.add(block, AttemptCosts(block, {"s": (None, "m")}, BOOK))
    return waste.spending()


def usage(prompt: int, completion: int, cached: int = 0, **more: Any) -> dict[str, Any]:
    """Token columns of a record."""
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "cached_tokens": cached, **more,
    }  # fmt: skip
