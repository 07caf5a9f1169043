"""The analysis benchmark in small: the run is sound and every record is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import analysis
from benchmarks.recorded import Shape, make
from evalharness.analysis.data.metrics import METRICS
from evalharness.store.parts.verify import verify_folder

SHAPE = Shape(prompts=12, settings=4, repeats=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one part."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    make(root, SHAPE)
    return root


def test_made_runs_are_sound(run: Path) -> None:
    """The folder is what a run would leave: verification finds every record and nothing wrong."""
    report = verify_folder(run)
    assert report.findings == []
    assert (report.records, report.attempts) == (SHAPE.trials, SHAPE.trials)


def test_commands_look_at_every_record(run: Path) -> None:
    """Report and verification, in processes of their own, count what was made."""
    for name in ("json", "verify"):
        took = analysis.run_command(name, run)
        analysis.checked(name, took, SHAPE.trials)
        assert took.memory_mib > 0
        with pytest.raises(SystemExit):
            analysis.checked(name, took, SHAPE.trials + 1)


def test_linear_growth_has_the_exponent_one() -> None:
    """Ten times the records in ten times the time is 1, in a hundred times the time 2."""
    assert analysis.exponents([10, 100, 1000], [1.0, 10.0, 1000.0]) == pytest.approx([1.0, 2.0])


def test_the_timed_comparison_compares_every_setting(tmp_path: Path) -> None:
    """Three temperatures in two strata: two differences in each and two pooled, in every metric."""
    found = analysis.comparison(tmp_path / "run", Shape(prompts=15, settings=6, repeats=2))
    assert (found["settings"], found["prompts"], found["draws"]) == (6, 15, 9_999)
    assert found["comparisons"] == 6 * len(METRICS)
