"""The question before an expensive command, on a real terminal, and none without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evalharness as package
from evalharness.judging.config import judging_root
from tests.money.conftest import EMULATOR_PRICE
from tests.money.terminal import on_terminal

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


def test_an_unknown_amount_is_asked_about_with_its_reason(prompts: Path, tmp_path: Path) -> None:
    """Without a price, and without a bound, the question says which of them is missing."""
    unpriced = [a for a in _arguments(prompts, "5") if not a.startswith("pricing")]
    unpriced += ["provider.name=elsewhere", "provider.model=nobody-knows"]
    unbounded = _arguments(prompts, "5", "params.max_tokens=null")
    for arguments, reason in (
        (unpriced, "no price for nobody-knows"),
        (unbounded, "without params.max_tokens"),
    ):
        refused = on_terminal(tmp_path, "run", *arguments, answers=((QUESTION, "n\n"),))
        assert refused.returncode == 2, refused.text
        assert reason in refused.text
    assert _records(tmp_path) == 0


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


def test_a_judging_is_asked_about(inside: Any, prompts: Path, tmp_path: Path) -> None:
    """A judge costs money too."""
    assert inside("run", *_arguments(prompts, "null")).returncode == 0
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
