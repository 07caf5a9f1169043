"""Few false verdicts: the quick form of the simulation, and what it calls a broken promise."""

from __future__ import annotations

import pytest

from benchmarks.calibration_verdicts import CASES, Outcome, Tally, markdown, tally

# Enough runs to tell 5 % from the 12 to 50 % that a wrong rule has; the whole takes seconds.
RUNS = 40


@pytest.mark.parametrize("case", list(CASES))
def test_verdicts_are_rarely_false(case: str) -> None:
    """Every case with 12 prompts × 5 repeats keeps its promises within three standard errors."""
    row = tally(case, 12, 5, runs=RUNS, seed=3)
    assert len(row.outcomes) == RUNS
    assert row.broken() == []


def test_right_verdicts_are_found() -> None:
    """A verdict that is never given would never be false: clear cases get the right one."""
    for case in ("seed followed by all", "seed followed by half", "temperature honoured"):
        _, right, _ = tally(case, 30, 5, runs=10, seed=3).rates()
        assert right == 1.0


def test_a_broken_promise_is_named() -> None:
    """Far more false verdicts than 5 %, or intervals that miss, are said with their case."""
    outcomes = [Outcome(wrong=index < 20, right=False, held=index > 30) for index in range(100)]
    row = Tally("seed", 6, 2, outcomes)
    assert row.broken() == [
        "seed, 6 prompts × 2 repeats: 20.0 % false verdicts",
        "seed, 6 prompts × 2 repeats: 69.0 % of intervals hold the true share",
    ]
    assert "| seed | 6 | 20.0 | 0.0 | 69.0 |" in markdown([row])
    assert Tally("seed", 6, 2, [Outcome(False, True)] * 100).broken() == []
