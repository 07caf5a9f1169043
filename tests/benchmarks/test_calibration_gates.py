"""Few gates decide on no ground: the quick form of the simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration_gates import wrong_verdicts
from benchmarks.calibration_reports import Sweep
from evalharness.cli.check.allowances import INCREASE, REGRESSION

RUNS = 40


@pytest.mark.parametrize("confident", [False, True])
@pytest.mark.parametrize("gate", [(REGRESSION, "score=10pp"), (INCREASE, "latency=0%")])
def test_gates_rarely_decide_on_no_ground(gate: tuple[str, str], *, confident: bool) -> None:
    """A rule without an interval is wrong in half of the runs; 20 % is far from the 2.5 % of one."""
    sweep = Sweep({"model": ("before", "after")}, 30, repeats=5)
    rng = np.random.default_rng(3)
    outcome = wrong_verdicts(rng, RUNS, sweep=sweep, gate=gate, confident=confident)
    assert outcome.runs == RUNS
    assert outcome.share < 0.2
