"""The calibration in small: the promises hold within wide binomial margins."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from benchmarks import calibration
from benchmarks.calibration_cells import COVERAGE, FALSE, Case, Outcome
from benchmarks.calibration_classes import FigureName, Task, class_coverage, simulated_counts
from benchmarks.calibration_differences import (
    ONE_REPEAT,
    difference_coverage,
    percentile_difference_coverage,
)
from benchmarks.calibration_intervals import Layout, mean_coverage, percentile_coverage
from benchmarks.calibration_pages import write_pages
from benchmarks.calibration_plans import plan_power
from benchmarks.calibration_power import amount_power
from benchmarks.calibration_reports import Sweep, headline
from benchmarks.calibration_scores import Scores, log_odds_shift, score_power
from benchmarks.calibration_trends import alarms, passes

RUNS = 300
ERRORS = 4  # binomial errors of 300 runs: 5.9 points of coverage, 9.2 of power


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def margin(share: float, runs: int) -> float:
    return ERRORS * math.sqrt(share * (1 - share) / runs)


def covers(outcome: Outcome) -> bool:
    """At least 93 % of the intervals hold the truth; where values vary little, all may."""
    return outcome.runs > 0 and outcome.share >= 0.93 - margin(0.93, outcome.runs)


def has_power(outcome: Outcome) -> bool:
    return outcome.runs > 0 and abs(outcome.share - 0.8) <= margin(0.8, outcome.runs)


@pytest.mark.parametrize("layout", ["prompts", "clusters of 4", "one large cluster"])
@pytest.mark.parametrize("kind", ["score", "agreement", "TAR@N", "availability"])
def test_intervals_of_shares_hold_the_mean(kind: str, layout: str) -> None:
    outcome = mean_coverage(rng(), RUNS, kind=kind, value=0.8, layout=layout, units=30)
    assert covers(outcome)


@pytest.mark.parametrize("layout", ["prompts", "clusters of 4"])
@pytest.mark.parametrize("figure", ["precision", "recall", "F1", "macro F1"])
def test_intervals_of_classes_hold_the_figure(figure: FigureName, layout: Layout) -> None:
    task = Task((0.6, 0.3, 0.1), 0.8)
    assert covers(class_coverage(rng(), RUNS, figure=figure, task=task, layout=layout, units=60))


def test_true_figures_of_classes_are_those_of_very_many_prompts() -> None:
    """Simulated counts come to the truth: 100,000 prompts, by hand for the rarest class."""
    task = Task((0.6, 0.3, 0.1), 0.8)
    rare = simulated_counts(rng(), task, "prompts", 100_000)[-1]
    right, targets, named = (float(column.sum()) for column in rare[1:])
    wrong = 0.2 * 0.9 / 2  # of each other class is taken for this one
    precision = 0.08 / (0.08 + 0.9 * wrong)
    assert task.truth("precision")[-1] == pytest.approx(precision)
    assert right / named == pytest.approx(precision, abs=0.01)
    assert right / targets == pytest.approx(0.8, abs=0.01)
    assert task.truth("F1")[-1] == pytest.approx(2 / (1 / precision + 1 / 0.8))


@pytest.mark.parametrize(
    ("kind", "value"), [("lognormal", 0.5), ("lognormal", 1.0), ("exponential", 1.0)]
)
def test_intervals_of_skewed_amounts_hold_the_mean(kind: str, value: float) -> None:
    assert covers(mean_coverage(rng(), RUNS, kind=kind, value=value, layout="prompts", units=12))


@pytest.mark.parametrize("spread", [(0.8, 0.1), (0.0, 0.5)])
def test_intervals_of_percentiles_hold_them(spread: tuple[float, float]) -> None:
    for share in (0.5, 0.95):
        outcome = percentile_coverage(
            rng(), RUNS, share=share, spread=spread, layout="prompts", units=30
        )
        assert covers(outcome)
    assert covers(percentile_difference_coverage(rng(), 100, share=0.5, factor=1.3, units=30))


@pytest.mark.parametrize(
    "kind",
    [
        "score 80 %, nothing differs",
        "score 90 % against 80 %",
        f"{ONE_REPEAT} 80 %, nothing differs",
        "lognormal s=1, nothing differs",
        "lognormal s=1 × 1.3, sides alike",
        "slope of a score over five settings",
    ],
)
@pytest.mark.parametrize(
    ("units", "layout"), [(12, "prompts"), (30, "prompts"), (12, "clusters of 4")]
)
def test_intervals_of_differences_agree_with_their_tests(
    kind: str, units: int, layout: str
) -> None:
    outcome = difference_coverage(rng(), RUNS, kind=kind, layout=layout, units=units)
    assert covers(outcome)
    assert outcome.tests == RUNS
    assert outcome.contradictions == 0
    if "nothing" in kind:
        assert outcome.significant <= RUNS * (0.05 + margin(0.05, RUNS))


@pytest.mark.parametrize("units", [6, 12, 30, 100])
def test_a_detectable_difference_is_found_in_eight_of_ten_runs(units: int) -> None:
    """The noncentral t must not be undefined on the way to it: that gave ten times as much."""
    assert has_power(amount_power(rng(), RUNS, kind="normal", layout="prompts", units=units))


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_detectable_difference_of_scores_is_found_in_eight_of_ten_runs(repeats: int) -> None:
    assert has_power(score_power(rng(), RUNS, scores=Scores(0.5, repeats, 300)))


@pytest.mark.parametrize(("repeats", "gain"), [(1, 0.2), (3, 0.1)])
def test_a_plan_finds_its_difference(repeats: int, gain: float) -> None:
    outcome = plan_power(rng(), RUNS, rate=0.5, gain=gain, repeats=repeats, pilot=5_000, alike=True)
    assert has_power(outcome)


@pytest.mark.parametrize(("rate", "gain"), [(0.1, 0.05), (0.5, 0.2), (0.9, 0.1)])
@pytest.mark.parametrize("effect", ["prompts alike", "log odds", "in proportion"])
def test_simulated_scores_differ_by_the_difference(rate: float, gain: float, effect: str) -> None:
    a, b = Scores(rate, 5, 100_000, effect).sides(rng(), gain, 1)
    assert b.mean() / 5 == pytest.approx(rate, abs=0.006)
    assert abs(a.mean() - b.mean()) / 5 == pytest.approx(gain, abs=0.006)
    assert log_odds_shift(rate, 0.0) == 0.0


@pytest.mark.parametrize(
    "sweep",
    [
        Sweep({"model": ("a", "b"), "top_p": (0.5, 1.0)}, 12),
        Sweep({"temperature": (0.0, 0.5, 1.0)}, 12),
    ],
)
def test_reports_without_a_difference_tell_none(sweep: Sweep) -> None:
    outcome = headline(rng(), 20, sweep=sweep)
    assert outcome.share <= 0.05 + margin(0.05, 20)


def test_reports_tell_a_difference_that_there_is() -> None:
    assert headline(rng(), 10, sweep=Sweep({"model": ("a", "b")}, 60, 3), gain=0.3).hits >= 9


def hit(share: float) -> Callable[[np.random.Generator, int], Outcome]:
    return lambda _, runs: Outcome(round(share * runs), runs)


def test_a_cell_fails_only_beyond_chance_and_without_a_reason() -> None:
    """2.6 binomial errors below 93 % of 1,000 runs are 90.9 %; more than 97 % needs a reason."""
    for share, above, fails in [
        (0.95, "", False), (0.91, "", False), (0.905, "", True), (1.0, "", True), (1.0, "few", False),
    ]:  # fmt: skip
        case = Case("shares", "row", "6 units", hit(share), COVERAGE._replace(above=above))
        outcome = case.run(1_000, 1)
        assert case.fails(outcome) is fails, (share, above)
        assert ("fails" in case.text(outcome)) is fails
    free = Case("shares", "row", "6 units", hit(0.5), None)
    assert not free.fails(free.run(1_000, 1))
    assert free.text(free.run(1_000, 1)) == "50.0 ± 1.6 (nothing promised)"
    assert "none in 50 %" in free.text(Outcome(5, 5, undefined=5))
    wrong = Case("reports", "row", "6 units", hit(0.10), FALSE)
    assert wrong.fails(wrong.run(1_000, 1))


def test_seeds_give_equal_cells_in_any_order() -> None:
    cases = [case for case in calibration.TABLES["shares"].cases() if case.column == "6 units"][:4]
    forth = calibration.run_cases(cases, 150, 3, processes=1)
    back = calibration.run_cases(cases[::-1], 150, 3, processes=1)
    assert [outcome for _, outcome in forth] == [outcome for _, outcome in back[::-1]]
    assert forth != calibration.run_cases(cases, 150, 4, processes=1)


def test_every_table_has_its_cells_and_prints() -> None:
    for name, table in calibration.TABLES.items():
        cases = table.cases()
        assert {case.table for case in cases} == {name}
        assert len({(case.row, case.column) for case in cases}) == len(cases)
    cells = [(c, Outcome(1, 1, tests=1)) for c in calibration.TABLES["differences"].cases()]
    text = "\n".join(calibration.sections(cells))
    assert "score 80 %, nothing differs, clusters of 4" in text
    assert "disagree about 0" in text
    assert calibration.summary(cells)[2].startswith("| Paired differences | 93 to 97 | 100.0 ± ")


def test_pages_get_all_tables_and_a_summary(tmp_path) -> None:
    page = tmp_path / "statistics.md"
    page.write_text("before\n<!-- calibration: begin -->\nold\n<!-- calibration: end -->\nafter\n")
    cells = [(c, Outcome(0, 100)) for c in calibration.TABLES["shares"].cases()]
    write_pages(tmp_path, calibration.computed(cells, ["shares"]), "command")
    text = page.read_text()
    assert text.startswith("before\n<!-- calibration: begin -->\n\n| figure")
    assert text.endswith("<!-- calibration: end -->\nafter\n")
    assert "old" not in text
    tables = (tmp_path / "calibration.md").read_text()
    assert "| score 50 %, prompts | **0.0 ± 0.7 fails** |" in tables
    assert "* shares: score 50 %, prompts, 6 units: 0.0" in tables


def test_quiet_runs_over_time_have_few_alarms() -> None:
    """Also where someone looks after each of them."""
    outcome = alarms(rng(), 60, series=passes, prompts=20)
    assert not Case("trends", "", "", alarms, FALSE).fails(outcome)
    found = alarms(rng(), 30, series=partial(passes, drop=0.3), prompts=60, looks=range(30, 31))
    assert found.share > 0.8
