"""Parts sum to the whole, exactly, whatever the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis.cost import cost_tables
from evalharness.pricing import picodollars
from tests.analysis.cost.priced_runs import Written, attempts, spent

_tokens = st.one_of(st.none(), st.integers(0, 10**6))
_row = st.fixed_dictionaries(
    {
        "prompt_id": st.sampled_from([f"p{i}" for i in range(30)]),
        "model": st.sampled_from(["m", "m2", "nobody"]),
        "prompt_tokens": _tokens,
        "completion_tokens": _tokens,
        "cached_tokens": st.one_of(st.none(), st.just(0)),
        "status": st.sampled_from(["ok", "error"]),
    }
)


def _sum(rows: Sequence[Any], key: str) -> Any:
    return sum((getattr(row, key) or 0 for row in rows), Decimal(0))


@settings(max_examples=40)
@given(st.lists(_row, min_size=1, max_size=60))
def test_settings_models_and_prompts_add_up(rows: list[dict[str, Any]]) -> None:
    """Every way of cutting a run gives the same total, the same counts, the same tokens."""
    run = Written([{**row, "setting_id": row["model"]} for row in rows])
    whole = cost_tables.whole_run(run.spending)
    prompts = cost_tables.by_prompt(run.spending)
    by_setting = cost_tables.by_setting(run.spending)
    by_model = cost_tables.by_model(run.spending)
    cuts: list[Sequence[Any]] = [
        by_setting,
        by_model,
        [*prompts.most_expensive, prompts.others],
    ]
    for cut in cuts:
        assert _sum(cut, "total_usd") == (whole.total_usd or 0)
        assert _sum(cut, "known") == whole.known
        assert _sum(cut, "trials") == len(rows)
    for name in ("prompt_tokens", "completion_tokens"):
        parts = [row.tokens[name].total or 0 for row in by_setting]
        assert sum(parts) == (whole.tokens[name].total or 0)
    assert whole.known + whole.unknown == len(rows)
    for cut in (by_setting, by_model):
        assert _sum(cut, "unknown") == whole.unknown
        assert sum((Counter(row.unknown_reasons) for row in cut), Counter()) == Counter(
            whole.unknown_reasons
        )
        assert _sum(cut, "estimate_usd") == (whole.estimate_usd or 0)
    # The prices' own account of the same run.
    account = [found.total_usd or Decimal(0) for found in run.costs.settings.values()]
    assert sum(account, Decimal(0)) == (whole.total_usd or 0)


_attempt = st.fixed_dictionaries(
    {
        "final": st.booleans(),
        "outcome": st.sampled_from(["delivered", "rejected", "not_sent", "in_doubt"]),
        "status": st.sampled_from(["ok", "error", "truncated"]),
        "prompt_tokens": _tokens,
        "completion_tokens": _tokens,
        "billed_usd": st.one_of(st.none(), st.decimals(0, 10, places=12)),
        "reserved_usd": st.one_of(st.none(), st.decimals(0, 10, places=12)),
    }
)


@settings(max_examples=60)
@given(st.lists(_attempt, min_size=1, max_size=40))
def test_waste_adds_up(rows: list[dict[str, Any]]) -> None:
    """The three kinds of waste share no attempt, and none is forgotten."""
    table = attempts(rows)
    found = spent(table)
    assert found is not None
    kinds = [found.failed, found.retried, found.in_doubt]
    for key in ("attempts", "usd", "unknown"):
        assert _sum(kinds, key) == getattr(found.wasted, key)
    assert found.wasted.usd <= found.all.usd
    bills = [row["billed_usd"] for row in rows if row["billed_usd"] is not None]
    assert found.all.usd >= sum(bills, Decimal(0))


@given(st.lists(st.tuples(st.integers(0, 2**61), st.integers(0, 4)), max_size=50))
def test_sums_of_groups_are_exact(rows: list[tuple[int, int]]) -> None:
    """Sums of pico-dollars equal those of Python's own integers, however large."""
    values = np.array([value for value, _ in rows], np.int64)
    groups = np.array([group for _, group in rows], np.int64)
    for group in range(5):
        total = picodollars.total(values[groups == group])
        assert int(total.scaleb(12)) == sum(v for v, g in rows if g == group)
