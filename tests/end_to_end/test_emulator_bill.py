"""A rehearsal against the emulator shows the money that a real run would, with the shipped prices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def _run(prompts: Path, name: str, *more: str) -> list[str]:
    return [
        "run", "provider=emulator", "dataset=file", f"dataset.path={prompts}", "dataset.limit=4",
        f"name={name}", "sweep=temperature", "scoring=none", "repeats=2", "params.max_tokens=20",
        *more,
    ]  # fmt: skip


def test_the_bill_agrees_and_a_dearer_one_is_explained(in_process: Any, prompts: Path) -> None:
    """By default not a picodollar differs; other rates make a bill that the table does not foresee."""
    assert in_process(*_run(prompts, "same")).returncode == 0
    shown = in_process("report", "same").stdout
    assert "exactly as computed" in shown
    assert "check the table" not in shown
    assert "price of all models of emulator: $0.4 in" in shown
    found = json.loads(in_process("report", "same", "--json").stdout)
    assert found["money"]["total"]["total_usd"] > 0
    assert {row["computed_minus_billed_usd"] for row in found["money"]["billed"]} == {0}
    dearer = [f"+provider.emulator.price_{kind}={price}" for kind, price in
              {"prompt": 0.8, "cached": 0.32, "completion": 2.4, "reasoning": 8}.items()]  # fmt: skip
    assert in_process(*_run(prompts, "dear", *dearer)).returncode == 0
    shown = " ".join(in_process("report", "dear").stdout.split())
    assert "likely because the bill is 2 times the table's price throughout" in shown
    assert "check the table" in shown


@pytest.mark.parametrize(
    ("prompt", "completion", "said"),
    [
        ("0", "0", "likely because the table's price is zero, and the provider bills for it"),
        ("9", "1", "the bill in 4 of 4 settings, and no single price explains it"),
    ],
)
def test_why_a_bill_differs_reads_as_a_sentence(
    in_process: Any, prompts: Path, prompt: str, completion: str, said: str
) -> None:
    """A free table is named as the reason; where nothing explains it, nothing is "likely because"."""
    price = (
        f"pricing.prices=[{{provider: emulator, price_usd_per_mtok: {{prompt: {prompt}, "
        f'completion: {completion}}}, model: "*"}}]'
    )
    assert in_process(*_run(prompts, "odd", "sweep.temperature=[0,0.5,1,1.5]")).returncode == 0
    assert said in " ".join(in_process("report", "odd", price).stdout.split())


def test_the_stop_at_a_limit_names_plain_amounts(in_process: Any, prompts: Path) -> None:
    """Nothing is in doubt, which is $0 and not $0E-12."""
    stopped = in_process(*_run(prompts, "limit", "limits.max_cost_usd=0.0003"))
    assert stopped.returncode == 4
    assert "in doubt $0, and the next one may cost $0.000" in stopped.stderr
    assert "E-" not in stopped.stderr


def test_without_a_price_the_bill_is_the_cost_everywhere(in_process: Any, prompts: Path) -> None:
    """A provider that no table knows: tables, leaders, comparisons, gate and page show its bill."""
    assert in_process(*_run(prompts, "bill", "provider.name=elsewhere")).returncode == 0
    shown = in_process("report", "bill")
    text = " ".join(shown.stdout.split())
    assert "cost there is what the provider billed, marked “billed”" in text
    assert "the cost is what the provider billed, because no price is known" in text
    content = json.loads(in_process("report", "bill", "--json").stdout)
    for setting in content["settings"]:
        cost = setting["cost_usd"]
        assert cost["total"] == cost["billed_total"] > 0
        assert cost["from_bill"] == cost["n"] == setting["trials"]
    assert content["leaders"]["cost_usd"] is not None
    assert content["money"]["frontier"] is not None
    assert {row["computed_minus_billed_usd"] for row in content["money"]["billed"]} == {None}
    assert any(row["metric"] == "cost_usd" and row["n"] for row in content["comparisons"])
    markdown = in_process("report", "bill", "--markdown").stdout
    priced, _, _ = markdown.partition("**How soon repeats part**")  # a table without costs
    rows = [line for line in priced.splitlines() if line.startswith("| T=")]
    rows = [line for line in rows if " / T=" not in line]  # a pair's agreement has no cost
    assert rows
    assert all(" billed" in line for line in rows)
    compared = in_process("compare", "bill", "--by", "temperature")
    assert "cost: billed (what the provider billed where no price is known)" in " ".join(
        compared.stdout.split()
    )
    as_json = json.loads(in_process("compare", "bill", "--by", "temperature", "--json").stdout)
    assert as_json["cost"] == "billed"
    total = sum(setting["cost_usd"]["total"] for setting in content["settings"])
    assert in_process("check", "bill", "--max-cost-usd", f"{total * 1.01:f}").returncode == 0
    assert in_process("check", "bill", "--max-cost-usd", f"{total * 0.99:f}").returncode == 1
