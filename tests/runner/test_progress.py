"""Dollars on the bar: what was spent so far, and what it comes to, as a person sees them."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import evalharness as package
from tests.cli.terminal import on_terminal

_SHOWN = re.compile(r"\$([0-9.]+) of ~\$([0-9.]+)(?= |,|\])")


def _arguments(prompts: Path, *more: str) -> list[str]:
    return [
        "run", "provider=emulator", "dataset=file", f"dataset.path={prompts}", "name=bar",
        "sweep=none", "scoring=none", "params.max_tokens=60", "limits.concurrency=2",
        "limits.confirm_above_usd=null",
        # An answer a tenth of a second, so that the bar is drawn more than once.
        "provider.emulator.ttft_ms=100", "provider.emulator.price_completion=900",
        'pricing.prices=[{model: "*", price_usd_per_mtok: {prompt: 0, completion: 900}}]', *more,
    ]  # fmt: skip


def _spent(tmp_path: Path) -> Decimal:
    return sum(package.load(tmp_path / "results" / "bar").attempts()["billed_usd"], Decimal(0))


def test_the_bar_shows_dollars_so_far_and_projected(prompts: Path, tmp_path: Path) -> None:
    """Both grow together into the bill; a later session shows its own part, and says so."""
    first = on_terminal(tmp_path, *_arguments(prompts, "repeats=1"))
    assert first.returncode == 0, first.text
    shown = [(Decimal(now), Decimal(end)) for now, end in _SHOWN.findall(first.text)]
    assert len(shown) > 2
    spent = [now for now, _ in shown]
    assert spent == sorted(spent)
    assert 0 < spent[0] < spent[-1]
    assert all(now <= end for now, end in shown)
    bill = _spent(tmp_path)
    assert abs(shown[-1][0] - bill) < bill / 100  # shown in three digits
    assert shown[-1][1] == shown[-1][0]
    assert "this session" not in first.text
    second = on_terminal(tmp_path, *_arguments(prompts, "repeats=2"))
    now, end = _SHOWN.findall(second.text)[-1]
    assert now == end
    assert abs(Decimal(now) - (_spent(tmp_path) - bill)) < bill / 100
    assert f"${now} of ~${end} this session" in second.text


def test_attempts_of_unknown_cost_are_not_passed_over(prompts: Path, tmp_path: Path) -> None:
    """Attempts in doubt stand beside the sum instead of counting nothing."""
    arguments = _arguments(prompts, "repeats=3", "provider.emulator.in_doubt=0.2")
    screen = on_terminal(tmp_path, *arguments)
    doubtful = (
        package.load(tmp_path / "results" / "bar").attempts()["outcome"] == "in_doubt"
    ).sum()
    assert doubtful
    assert f"(+ {doubtful} attempts of unknown cost)" in screen.text
