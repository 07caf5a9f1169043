"""Do intervals, tests and plans keep their promises? Simulated data, in the sizes people run.

    python -m benchmarks.calibration [--runs 1500] [--seed 1] [--only TABLE …] [--pages docs]

Prints Markdown: for each table the shares of runs in which an interval holds the truth, a test is
below .05 or a difference is found, with the binomial standard error of each. A share outside of its
promise by more than 2.6 errors *fails*, and the exit code is 1. Cells with a reason in brackets may
leave the promise in the direction that the reason explains. All repeats of a prompt are averaged,
as in a report; abilities of prompts are drawn from beta distributions, and clusters have effects of
their own. With ``--pages`` the tables are written into the documentation as well; with ``--only``
the others stay there as they are.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

# As the commands do, before numpy is imported (evalharness/cli/__init__.py).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.calibration_across import across_cases
from benchmarks.calibration_card import card_cases
from benchmarks.calibration_cells import COVERAGE, FALSE, NEVER, POWER, Case, Outcome, markdown
from benchmarks.calibration_classes import class_cases
from benchmarks.calibration_differences import (
    KINDS,
    difference_cases,
    percentile_difference_cases,
)
from benchmarks.calibration_equality import equality_cases, equality_power_cases
from benchmarks.calibration_gates import gate_cases
from benchmarks.calibration_intervals import amount_cases, percentile_cases, share_cases
from benchmarks.calibration_invariance import invariance_cases
from benchmarks.calibration_kappa import kappa_cases
from benchmarks.calibration_logprobs import logprob_cases
from benchmarks.calibration_pages import Computed, write_pages
from benchmarks.calibration_plans import plan_cases
from benchmarks.calibration_power import power_cases
from benchmarks.calibration_reports import report_cases
from benchmarks.calibration_scores import score_cases
from benchmarks.calibration_tool_calls import tool_call_cases
from benchmarks.calibration_trends import trend_cases

PROCESSES = 2


class Table(NamedTuple):
    """A table: its cases, its title, and what it promises."""

    cases: Callable[[], list[Case]]
    title: str
    promise: str


TABLES = {
    "shares": Table(share_cases, "Means of shares", "coverage, 95 % promised (93 to 97)"),
    "amounts": Table(
        amount_cases,
        "Means of seconds, tokens, dollars",
        "coverage, 95 % promised (93 to 97) from 10 effective units on",
    ),
    "percentiles": Table(
        lambda: percentile_cases() + percentile_difference_cases(),
        "Percentiles of seconds, five trials a prompt",
        "coverage, at least 95 % promised (93); one end missing counts as unbounded",
    ),
    "classes": Table(
        class_cases,
        "Precision, recall and F1 of classes, three trials a prompt",
        "coverage, 95 % promised (93 to 97) from 6 expected units of the rarest class on",
    ),
    "kappa": Table(
        kappa_cases,
        "Cohen's kappa of two raters",
        "coverage, 95 % promised (93 to 97) from 50 prompts on",
    ),
    "differences": Table(
        difference_cases, "Paired differences", "coverage, 95 % promised (93 to 97)"
    ),
    "mde": Table(
        power_cases, "Smallest detectable difference of amounts", "power, 80 % promised (78 to 85)"
    ),
    "scores": Table(
        score_cases,
        "Smallest detectable difference of pass/fail scores",
        "power, 80 % promised (78 to 85)",
    ),
    "plans": Table(plan_cases, "Prompts that a plan asks for", "power, 80 % promised (78 to 85)"),
    "across": Table(
        across_cases,
        "Agreement across settings that differ by their repeats alone",
        "tests below .05, at most 5 % promised; last row: how often a difference is found",
    ),
    "invariance": Table(
        invariance_cases,
        "Batch invariance of servers that their load does not change",
        "runs with any load said to part from alone, at most 5 % promised; last row: how often a "
        "dependence on load is seen",
    ),
    "card": Table(
        card_cases,
        "Support cards of honest servers, and of servers that ignore parameters",
        "wrong verdicts, at most 5 % promised: any `no` of an honest server, a `yes` of the others",
    ),
    "equality": Table(
        equality_cases,
        "The model equality test on simulated token models",
        "tests below .05, of equal models at most 5 % promised; of the others how often they are "
        "found, with the distance of the next tokens",
    ),
    "equality_power": Table(
        equality_power_cases,
        "What the model equality test says it would find",
        "power, 80 % said (72 to 90 promised from 25 prompts on)",
    ),
    "logprobs": Table(
        logprob_cases,
        "Distances of log probabilities",
        "equal models: tests below .05, at most 5 % promised; excess: coverage, 95 % promised",
    ),
    "tool_calls": Table(
        tool_call_cases,
        "Tool calls against a reference",
        "equal vendors: tests below .05, at most 5 % promised; F1: coverage, 95 % promised; "
        "faults: how often they are found",
    ),
    "reports": Table(
        report_cases,
        "Reports of settings that do not differ",
        "share with any difference in the headline, at most 5 % promised",
    ),
    "gates": Table(
        gate_cases,
        "Gates against a run from which this one is as far as is allowed",
        "share of wrong verdicts, at most 5 % promised",
    ),
    "trends": Table(
        trend_cases,
        "Thirty runs over time, looked at after each",
        "share of series with an alarm at any look, at most 5 % promised",
    ),
}

Cells = list[tuple[Case, Outcome]]


def run_case(job: tuple[Case, int, int]) -> Outcome:
    """One cell, in a process of its own."""
    case, runs, seed = job
    return case.run(runs, seed)


def run_cases(cases: Sequence[Case], runs: int, seed: int, processes: int = PROCESSES) -> Cells:
    """All cells; equal seeds give equal cells, whatever their order."""
    jobs = [(case, runs, seed) for case in cases]
    if processes == 1:
        return list(zip(cases, map(run_case, jobs), strict=True))
    with get_context("fork").Pool(processes) as pool:
        return list(zip(cases, pool.map(run_case, jobs, chunksize=1), strict=True))


def test_tables(cells: Cells) -> dict[str, Cells]:
    """What the cells of differences tell of their tests: false positives and contradictions."""
    positives: Cells = []
    contradictions: dict[str, Outcome] = {}
    for case, outcome in cells:
        kind = next(kind for kind in KINDS if case.row.startswith(kind))
        if KINDS[kind][0] == 0.0:
            row = case._replace(table="false positives", promise=FALSE)
            positives.append((row, Outcome(outcome.significant, outcome.tests)))
        against = Outcome(outcome.contradictions, outcome.tests)
        contradictions[kind] = contradictions.get(kind, Outcome()).plus(against)
    consistency: Cells = [
        (Case("consistency", kind, "all units", _nothing, NEVER), outcome)
        for kind, outcome in contradictions.items()
    ]
    return {
        "False positives of these tests where nothing differs; at most 5 % promised": positives,
        "Tests whose p and interval disagree about 0, %; none promised": consistency,
    }


def _nothing(*_: object) -> Outcome:
    return Outcome()


def sections(cells: Cells) -> list[str]:
    """The tables as Markdown."""
    lines: list[str] = []
    for name, table in TABLES.items():
        own = [(case, outcome) for case, outcome in cells if case.table == name]
        if own:
            lines += ["", f"## {table.title}", "", f"Per cent: {table.promise}."]
            lines += markdown("", *map(list, zip(*own, strict=True)))  # pyright: ignore[reportArgumentType]
        for title, derived in (test_tables(own) if name == "differences" and own else {}).items():
            lines += ["", f"{title}."]
            lines += markdown("", *map(list, zip(*derived, strict=True)))  # pyright: ignore[reportArgumentType]
    return lines


def summary(cells: Cells) -> list[str]:
    """The range of each table, by column, and how many of its cells fail."""
    lines = [
        "| figure, % | promised | lowest | highest | cells | fail |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[str, Cells] = {
        TABLES[name].title: [cell for cell in cells if cell[0].table == name] for name in TABLES
    }
    own = [cell for cell in cells if cell[0].table == "differences"]
    groups |= {title.split(";")[0]: derived for title, derived in test_tables(own).items()}
    for title, group in groups.items():
        known = [(c, o) for c, o in group if c.promise is not None and o.runs]
        if known:
            low, high = (end(known, key=lambda cell: cell[1].share)[1] for end in (min, max))
            fail = sum(case.fails(outcome) for case, outcome in known)
            ends = " | ".join(f"{100 * o.share:.1f} ± {100 * o.error:.1f}" for o in (low, high))
            promise = _promised(known[0][0])
            lines.append(f"| {title} | {promise} | {ends} | {len(known)} | {fail} |")
    return lines


def _promised(case: Case) -> str:
    assert case.promise is not None
    bounds = case.promise[:2]
    words = {
        COVERAGE[:2]: "93 to 97",
        POWER[:2]: "78 to 85",
        FALSE[:2]: "at most 5",
        NEVER[:2]: "0",
    }
    return words[bounds]


def failures(cells: Cells) -> list[str]:
    """The cells that are outside of their promise."""
    own = [cell for cell in cells if cell[0].table == "differences"]
    every = [*cells, *(cell for derived in test_tables(own).values() for cell in derived)]
    return [
        f"* {case.table}: {case.row}, {case.column}: {100 * o.share:.1f} ± {100 * o.error:.1f}"
        for case, o in every
        if case.fails(o)
    ]


def computed(cells: Cells, tables: Sequence[str]) -> Computed:
    """What the pages show of the cells of some tables."""
    titles = [table.title for table in TABLES.values()]
    return Computed(sections(cells), summary(cells), failures(cells), tables, titles)


def main() -> int:
    """Print all tables; 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_500, help="simulated a cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--pages", type=Path, help="the folder of the documentation")
    options = parser.parse_args()
    cases = [case for name in options.only for case in TABLES[name].cases()]
    cells = run_cases(cases, options.runs, options.seed)
    outside = failures(cells)
    print("\n".join([*summary(cells), *sections(cells)]))
    if outside:
        print("\n".join(["", "## Promises that do not hold", "", *outside]))
    if options.pages is not None:
        command = f"python -m benchmarks.calibration --runs {options.runs}"
        write_pages(options.pages, computed(cells, options.only), command)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
