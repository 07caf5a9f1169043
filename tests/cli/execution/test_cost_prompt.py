"""The question before an expensive command, on a real terminal, and none without one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness.cli.execution.cost_prompt import needs_confirmation
from evalharness.cli.execution.prepare import PreparedRun
from evalharness.config.models import DatasetConfig, ProviderConfig, RunConfig
from evalharness.judging.config import judging_root
from evalharness.planning.build import build_plan
from evalharness.pricing import PriceBook
from evalharness.pricing.price_files import parse_prices
from tests.cli.emulated_provider import EMULATOR_PRICE
from tests.cli.terminal import on_terminal

QUESTION = "Go on? [y/N]"


def _arguments(prompts: Path, limit: str, *more: str) -> list[str]:
    return [
        "provider=emulator", "dataset=file", f"dataset.path={prompts}", "dataset.limit=6", "name=c",
        "sweep=none", "scoring=none", "repeats=2", "params.max_tokens=40", EMULATOR_PRICE,
        f"limits.confirm_above_usd={limit}", *more,
    ]  # fmt: skip


def _records(tmp_path: Path, name: str = "c") -> int:
    root = tmp_path / "results" / name
    return len(package.load(root).records()) if root.exists() else 0


def test_an_expensive_run_is_asked_about_on_a_terminal(prompts: Path, tmp_path: Path) -> None:
    """An empty line is no, and so is the end of input; yes sends all; cheap runs and --yes do not ask."""
    dear = _arguments(prompts, "0.0001")
    for typed in ("\n", "\x04"):
        refused = on_terminal(tmp_path, "run", *dear, answers=((QUESTION, typed),))
        assert refused.returncode == 2, refused.text
        assert "12 requests and may cost up to $0.00" in refused.text
        assert "limits.confirm_above_usd=0.0001" in refused.text
        assert "nothing was sent" in refused.text
        assert "--yes" in refused.text
        assert _records(tmp_path) == 0
    agreed = on_terminal(tmp_path, "run", *dear, answers=((QUESTION, "y\n"),))
    assert agreed.returncode == 0, agreed.text
    assert _records(tmp_path) == 12
    # What is recorded is free: nothing is left to ask about.
    assert QUESTION not in on_terminal(tmp_path, "run", *dear).text
    cheap = on_terminal(tmp_path, "run", *_arguments(prompts, "5", "repeats=3"))
    assert QUESTION not in cheap.text
    assert _records(tmp_path) == 18
    forced = on_terminal(tmp_path, "run", "--yes", *_arguments(prompts, "0.0001", "repeats=4"))
    assert QUESTION not in forced.text
    assert _records(tmp_path) == 24


def test_an_unknown_amount_is_asked_about_with_its_reason(
    prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a price, and without a bound, the question says which of them is missing."""
    monkeypatch.setenv("EVH_TEST_KEY", "not-a-key")
    away = _away(prompts)
    known = "pricing.prices=[{model: nobody-knows, price_usd_per_mtok: {prompt: 1, completion: 1}}]"
    unbounded = [*away, known, "params.max_tokens=null"]
    for arguments, reason in (
        (away, "an unknown amount: no price for nobody-knows (limits.confirm_above_usd=1)"),
        (unbounded, "an unknown amount: without params.max_tokens"),
    ):
        refused = on_terminal(tmp_path, "run", *arguments, answers=((QUESTION, "n\n"),))
        assert refused.returncode == 2, refused.text
        assert reason in refused.text
    assert _records(tmp_path) == 0


def _away(prompts: Path) -> list[str]:
    """A provider that is not on this machine; nothing is sent to it, since the answer is no."""
    kept = [
        a for a in _arguments(prompts, "5") if not a.startswith(("provider", "pricing", "limi"))
    ]
    return [
        *kept, "provider=openai_compatible", "provider.base_url=https://model.invalid/v1",
        "provider.model=nobody-knows", "provider.api_key_env=EVH_TEST_KEY",
    ]  # fmt: skip


def test_what_stays_on_this_machine_is_not_asked_about(prompts: Path, tmp_path: Path) -> None:
    """No price, or no bound, on loopback: nobody sends a bill."""
    plain = [a for a in _arguments(prompts, "5") if not a.startswith(("pricing", "limits"))]
    unbounded = [*plain, "params.max_tokens=null", "+provider.emulator.output_tokens=3"]
    unknown = [*plain, "provider.name=mine", "name=u"]
    for arguments in (unbounded, unknown):
        done = on_terminal(tmp_path, "run", *arguments)
        assert QUESTION not in done.text
    assert (_records(tmp_path), _records(tmp_path, "u")) == (12, 12)


def test_only_what_may_cost_is_a_reason_to_ask(
    prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free at a remote provider, or unpriced at home: no records are read for a question."""
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    free = {"prices": [{"model": "m", "price_usd_per_mtok": {"prompt": 0, "completion": 0}}]}
    books = PriceBook([]), PriceBook([parse_prices(free, "test", table="test")])
    for url, expected in (
        ("https://model.invalid/v1", [True, False]),
        ("http://127.0.0.1:8000/v1", [False, False]),
        ("http://localhost:8000/v1", [False, False]),
        ("https://127.0.0.1.model.invalid/v1", [True, False]),
    ):
        provider = ProviderConfig(kind="remote", name="p", model="m", base_url=url)
        config = RunConfig(name="c", provider=provider, dataset=DatasetConfig(path=str(prompts)))
        plan = build_plan([config], {"p": url}, root=prompts.parent)
        prepared = [PreparedRun(plan, {"p": provider}, book) for book in books]
        assert [needs_confirmation(one, yes=False) for one in prepared] == expected, url
        assert not any(needs_confirmation(one, yes=True) for one in prepared)


def test_more_than_a_dollar_is_asked_about_unless_told_otherwise(
    prompts: Path, tmp_path: Path
) -> None:
    """The default limit protects who never heard of it."""
    dear = (
        "pricing.prices=[{provider: emulator, model: qwen-plus, "
        "price_usd_per_mtok: {prompt: 1, completion: %s}}]"
    )
    plain = [a for a in _arguments(prompts, "5") if not a.startswith(("pricing", "limits"))]
    # 12 requests of at most 40 tokens: 480 tokens.
    refused = on_terminal(tmp_path, "run", *plain, dear % 2500, answers=((QUESTION, "n\n"),))
    assert "may cost up to $1.20 (limits.confirm_above_usd=1)" in refused.text
    assert QUESTION not in on_terminal(tmp_path, "run", *plain, dear % 2000).text
    assert _records(tmp_path) == 12


def test_a_pilot_is_asked_about_by_its_own_cost(prompts: Path, tmp_path: Path) -> None:
    """Three trials of twelve: the limit is held against the three."""
    whole = _arguments(prompts, "0.001")
    pilot = on_terminal(tmp_path, "plan", "--pilot", "3", *whole)
    assert QUESTION not in pilot.text
    assert "3 requests sent" in pilot.text
    dear = _arguments(prompts, "0.0001")
    refused = on_terminal(tmp_path, "plan", "--pilot", "6", *dear, answers=((QUESTION, "n\n"),))
    assert refused.returncode == 2
    assert "This pilot sends 3 requests" in refused.text
    assert _records(tmp_path) == 3
    forced = on_terminal(tmp_path, "plan", "--pilot", "6", "--yes", *dear)
    assert QUESTION not in forced.text
    assert _records(tmp_path) == 6


def test_a_judging_is_asked_about(in_process: Any, prompts: Path, tmp_path: Path) -> None:
    """A judge costs money too."""
    assert in_process("run", *_arguments(prompts, "null")).returncode == 0
    judge = [
        "judge", "c", "provider=emulator", "params.max_tokens=20", EMULATOR_PRICE,
        "limits.confirm_above_usd=0.0001",
    ]  # fmt: skip
    refused = on_terminal(tmp_path, *judge, answers=((QUESTION, "n\n"),))
    assert refused.returncode == 2, refused.text
    assert "This judging sends" in refused.text
    grades = judging_root(tmp_path / "results" / "c", "grade")
    assert not grades.exists()
    forced = on_terminal(tmp_path, *judge, "--yes")
    assert QUESTION not in forced.text
    assert len(package.load(grades).records()) > 0


def test_without_a_terminal_nothing_is_asked(evalharness: Any, prompts: Path) -> None:
    """A cron job with a dear run neither hangs nor stops."""
    done = evalharness("run", *_arguments(prompts, "0.0001"))
    assert done.returncode == 0, done.stderr
    assert QUESTION not in done.stdout + done.stderr
