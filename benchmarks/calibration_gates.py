"""How often the gates of ``check --baseline`` decide wrongly, where a run is as bad as is allowed.

That is 10 points of score worse where 10 points are allowed, and not worse at all where nothing is.
There a gate that asks for "not shown to be worse" fails for one end of a 95 % interval, and one
with ``--confident`` holds for the other: each in 2.5 % of runs, promised is 5 % at most.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.calibration_cells import FALSE, Case, Outcome
from benchmarks.calibration_reports import Sweep, simulate_run
from evalharness.analysis.comparison.matching import find_pairs
from evalharness.analysis.data.join_runs import JoinedRuns
from evalharness.cli.check.allowances import INCREASE, REGRESSION, read_allowances
from evalharness.cli.check.changes import limit_verdict

_LOSS = 0.10  # of the score, and what is allowed
_LOST = f"score={100 * _LOSS:g}pp"
_GATES = (
    (REGRESSION, _LOST), (REGRESSION, "score=0pp"), (REGRESSION, "agreement=0pp"),
    (INCREASE, "cost=0%"), (INCREASE, "latency=0%"), (INCREASE, "latency_p50=0%"),
    (INCREASE, "latency_p95=0%"), (INCREASE, "latency_p95=0"),
)  # fmt: skip


def wrong_verdicts(
    rng: np.random.Generator, runs: int, *, sweep: Sweep, gate: tuple[str, str], confident: bool
) -> Outcome:
    """How often a gate decides on no ground; those without an interval are counted apart."""
    (limit,) = read_allowances(gate[0], [gate[1]])
    loss = _LOSS if gate[1] == _LOST else 0.0
    hits = undefined = 0
    for _ in range(runs):
        joined = JoinedRuns.of({"": simulate_run(rng, sweep, loss)})
        (pair,) = find_pairs(joined.columns, "model", "before")
        verdict = limit_verdict(limit, "", joined, pair, confident=confident)
        unbounded = "no 95 % interval" in verdict.figures
        undefined += unbounded
        hits += not unbounded and verdict.holds == confident
    return Outcome(hits, runs - undefined, undefined)


def gate_cases() -> list[Case]:
    """Two runs of the same prompts: 20, 60, and 120 in clusters of four."""
    cases: list[Case] = []
    models = {"model": ("before", "after")}
    for prompts, clustered in ((20, False), (60, False), (120, True)):
        sweep = Sweep(models, prompts, repeats=5, clustered=clustered)
        column = f"{prompts} prompts" + (" in clusters of 4" if clustered else "")
        for gate in _GATES:
            for confident in (False, True):
                row = gate[1] + (" --confident" if confident else "")
                measure = partial(wrong_verdicts, sweep=sweep, gate=gate, confident=confident)
                cases.append(Case("gates", row, column, measure, FALSE, prompts * 400))
    return cases
