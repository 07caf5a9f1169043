"""Do intervals, tests and plans keep their promises? Simulated data, in the sizes people run.

    python -m benchmarks.calibration [--runs 1500] [--seed 1] [--only TABLE …] [--pages docs]

Prints Markdown: for each table the shares of runs in which an interval holds the truth, a test is
below .05 or a difference is found, with the binomial standard error of each. A share outside of its
promise by more than 2.6 errors *fails*, and the exit code is 1. Cells with a reason in brackets may
leave the promise in the direction that the reason explains. All repeats of a prompt are averaged,
as in a report; abilities of prompts are drawn from beta distributions, and clusters have effects of
their own. With ``--pages`` the tables are written into the documentation as well.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

# As the commands do, before numpy is imported (evalharness/cli/__init__.py).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.calibration_across import across_cases
from benchmarks.calibration_cells import COVERAGE, FALSE, NEVER, POWER, Case, Outcome, markdown
from benchmarks.calibration_classes import class_cases
from benchmarks.calibration_differences import (
    KINDS,
    difference_cases,
    percentile_difference_cases,
)
from benchmarks.calibration_gates import gate_cases
from benchmarks.calibration_intervals import amount_cases, percentile_cases, share_cases
from benchmarks.calibration_kappa import kappa_cases
from benchmarks.calibration_plans import plan_cases
from benchmarks.calibration_power import power_cases
from benchmarks.calibration_reports import report_cases
from benchmarks.calibration_scores import score_cases
from benchmarks.calibration_trends import trend_cases

PROCESSES = 2
_MARKS = "<!-- calibration: begin -->\n", "<!-- calibration: end -->\n"


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


def write_pages(folder: Path, cells: Cells, command: str) -> None:
    """Write all tables to ``calibration.md``, and the summary into ``statistics.md``."""
    head = [
        "# Calibration", "", f"Written by `{command}`; what the figures mean is in "
        "[statistics](statistics.md), the words in the [glossary](glossary.md). Each cell is a "
        "share of simulated runs ± its binomial standard error. *Fails*: outside of the "
        "promise by more than 2.6 errors. In brackets: why a cell may leave it in that direction.",
    ]  # fmt: skip
    outside = failures(cells)
    tail = ["", "## Promises that do not hold", "", *(outside or ["None."])]
    text = "\n".join([*head, *sections(cells), *tail]) + "\n"
    (folder / "calibration.md").write_text(text, "utf-8")
    page = folder / "statistics.md"
    begin, end = _MARKS
    block = "\n".join([begin, *summary(cells), "", ""]) + end
    old = page.read_text("utf-8")
    new = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: block, old, flags=re.DOTALL)
    page.write_text(new, "utf-8")


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
        write_pages(options.pages, cells, f"python -m benchmarks.calibration --runs {options.runs}")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
