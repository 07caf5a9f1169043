"""A setting's cost is the same exact figure in every place that shows it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.analysis.summary import SettingSummary, summarise
from evalharness.cli import main
from evalharness.cli.gates import Verdict, check_settings
from evalharness.report.build.money import prices_used, run_money
from evalharness.report.json import as_json_text
from tests.analysis.cost.priced_runs import BOOK, Written

TWO_COSTS = [
    {"prompt_id": "p0", "repeat": 0, "text": "x", "cost_usd": 0.1, "billed_usd": 0.1},
    {"prompt_id": "p1", "repeat": 0, "text": "x", "cost_usd": 0.2, "billed_usd": 0.2},
]
PRICE = """prices:
- {model: m, price_usd_per_mtok: {prompt: 1, cached: 0.1, completion: 4}}
"""

_cost = st.decimals(0, 1000, places=12)
_record = st.tuples(st.sampled_from("ab"), st.sampled_from("pq"), _cost)


@settings(max_examples=60, deadline=None)
@given(st.lists(_record, min_size=1, max_size=30))
def test_every_place_shows_the_same_total(records: list[tuple[str, str, Decimal]]) -> None:
    """Settings, money, prices, bill and check agree to the last digit with the exact sum."""
    rows = [
        {"setting_id": s, "prompt_id": p, "cost_usd_imported": usd, "billed_usd": usd}
        for s, p, usd in records
    ]
    run = Written(rows)
    summary = summarise(run.frame, run.costs)
    money = run_money(
        run.frame, run.costs, BOOK, prompts=run.prompts, attempts=None, settings=summary
    )
    prices = prices_used(run.costs, BOOK).settings
    for part, spent, bill in zip(summary, money.settings, money.billed, strict=True):
        own = [usd for setting_id, _, usd in records if setting_id == part.setting_id]
        exact, price = sum(own), prices[part.setting_id]
        shown = [
            part.cost_usd.total, part.cost_usd.billed_total, spent.total_usd, bill.billed_usd,
            price.total_usd, price.billed_total_usd,
        ]  # fmt: skip
        assert shown == [exact] * 6
        assert {json.loads(as_json_text(usd), parse_float=Decimal) for usd in shown} == {exact}
        assert part.cost_usd.per_1k_requests == spent.per_1k_requests
        assert spent.per_1k_requests == float(1000 * exact / len(own))
        [verdict] = _cost_verdicts([part], run)
        assert verdict.value == float(exact)
    total = sum(usd for _, _, usd in records)
    [verdict] = _cost_verdicts(summary, run)
    assert money.total.total_usd == total
    assert verdict.value == float(total)


def _cost_verdicts(rows: list[SettingSummary], run: Written) -> list[Verdict]:
    limits = {"max_cost_usd": 1e9}
    return list(check_settings(rows, run.costs, limits, confident=False, selected=False))


def test_unknown_counts_the_same_trials_in_every_place() -> None:
    """Settings and money count the trials without an exact cost, by the same reasons."""
    rows = [
        {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 1},  # estimated
        {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 11},
        {"status": "error"},
        {"setting_id": "t", "model": "nobody", "prompt_tokens": 1, "completion_tokens": 1},
    ]
    run = Written(rows)
    summary = summarise(run.frame, run.costs)
    money = run_money(
        run.frame, run.costs, BOOK, prompts=run.prompts, attempts=None, settings=summary
    )
    for part, spent in zip(summary, money.settings, strict=True):
        cost = part.cost_usd
        assert (cost.unknown, cost.unknown_reasons) == (spent.unknown, spent.unknown_reasons)
        assert cost.n + cost.unknown == part.trials
    reasons = {"count_missing": 2, "usage_contradicts": 1}
    assert [part.cost_usd.unknown_reasons for part in summary] == [reasons, {"no_price": 1}]
    whole = money.total
    assert whole.unknown_reasons == {"no_price": 1, "count_missing": 2, "usage_contradicts": 1}
    assert (whole.known, whole.unknown, whole.estimated) == (1, 4, 2)


def _import(folder: Path, rows: list[dict[str, object]]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["import", "rows.jsonl", "r"]) == 0


def test_ten_and_twenty_cents_are_thirty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0.1 and 0.2 dollars are 0.3 everywhere, not 0.30000000000000004."""
    monkeypatch.chdir(tmp_path)
    _import(tmp_path, TWO_COSTS)
    capsys.readouterr()
    assert main(["report", "r", "--json"]) == 0
    text = capsys.readouterr().out
    assert "0.30000000000000004" not in text
    data = json.loads(text)
    [part], [spent], [bill] = data["settings"], data["money"]["settings"], data["money"]["billed"]
    [price] = data["prices"]["settings"].values()
    figures = [
        part["cost_usd"]["total"], part["cost_usd"]["billed_total"], spent["total_usd"],
        data["money"]["total"]["total_usd"], bill["billed_usd"], price["total_usd"],
        price["billed_total_usd"],
    ]  # fmt: skip
    assert figures == [0.3] * 7
    assert main(["check", "r", "--max-cost-usd", "0.3"]) == 0
    assert "cost in US dollars 0.3, needed ≤ 0.3" in capsys.readouterr().out


def test_the_reasons_are_said_on_console_page_and_markdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a cost is unknown, every output says why, and so does the gate that fails for it."""
    monkeypatch.chdir(tmp_path)
    row = {"text": "x", "model": "m", "prompt_tokens": 10, "completion_tokens": 2}
    rows = [
        {**row, "prompt_id": "p", "cached_tokens": 0},
        {**row, "prompt_id": "q"},
        {**row, "prompt_id": "r", "cached_tokens": 11},
        {**row, "prompt_id": "s", "model": "nobody-sells-this"},
    ]
    _import(tmp_path, rows)
    (tmp_path / "prices.yaml").write_text(PRICE)
    words = (
        "cost unknown for 3 (no price: 1, a count that the price needs is missing: 1, "
        "usage contradicts itself: 1)"
    )
    pricing = ["--pricing", "prices.yaml"]
    for arguments in (["report", "r"], ["report", "r", "--markdown"]):
        capsys.readouterr()
        assert main([*arguments, *pricing]) == 0
        assert words in " ".join(capsys.readouterr().out.split())
    assert main(["report", "r", "--html", "page.html", *pricing]) == 0
    assert words in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    assert main(["check", "r", "--max-cost-usd", "1", *pricing]) == 1
    assert words in capsys.readouterr().out
