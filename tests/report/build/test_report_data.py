"""The data of a report: complete, and independent of how the run is stored or read."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import recorded
from benchmarks.recorded import Shape, make
from evalharness.analysis.agreement import breakdowns
from evalharness.analysis.comparison.leaders import DIRECTIONS
from evalharness.analysis.data import encode, repeat_pairs, variants
from evalharness.columnar.row_store import ColumnStore
from evalharness.columnar.text_pool import TextPool
from evalharness.errors import EXIT_STORAGE, ProcessLostError
from evalharness.records import Setting
from evalharness.report.build import open_run, report_data
from evalharness.report.build.report_data import Report, build_report
from evalharness.scoring.score_batches import BatchScorer
from evalharness.store.folder.run import Run

SHAPE = Shape(prompts=12, settings=4, repeats=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one part."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    make(root, SHAPE)
    return root


def figures(root: Path) -> str:
    """The report as JSON, without what names the folder and its age.

    Bodies are looked at in the newest part alone, so how many were seen is left out, too.
    """
    data = build_report(Run.open(root)).data
    for name in ("name", "created_at", "updated_at"):
        del data["run"][name]
    del data["provenance"]
    for effect in data["effects"]:
        effect["evidence"].pop("rows", None)
    return json.dumps(data)


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly anything is held in memory."""
    monkeypatch.setattr(TextPool.__init__, "__defaults__", (500,))
    monkeypatch.setattr(ColumnStore.__init__, "__defaults__", ((), 2_000))


@pytest.mark.usefixtures("crowded")
def test_a_report_does_not_depend_on_the_parts(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of 7 rows, all in a file, counted in small blocks, one after the other: equal bytes."""
    expected = figures(run)
    make(tmp_path / "cut", SHAPE, part_rows=7)
    monkeypatch.setattr(variants, "_PART_ROWS", 11)
    monkeypatch.setattr(repeat_pairs, "BLOCK_PAIRS", 13)
    monkeypatch.setattr(breakdowns, "BLOCK_PAIRS", 13)
    monkeypatch.setattr(encode, "_BLOCK", 17)
    monkeypatch.setattr(report_data, "_FORK_EACH_FROM_RECORDS", 1)
    assert figures(tmp_path / "cut") == expected


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the records and the cores: copies of the process share the work."""
    monkeypatch.setattr(open_run, "FORK_FROM_RECORDS", 0)
    monkeypatch.setattr(open_run, "can_fork", lambda: sys.platform == "linux")


@pytest.mark.usefixtures("crowded", "forked")
def test_a_report_does_not_depend_on_who_works_on_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged and counted in copies of this process, part by part: equal bytes."""
    make(tmp_path / "cut", SHAPE, part_rows=7)
    shared = figures(tmp_path / "cut")
    monkeypatch.setattr(open_run, "FORK_FROM_RECORDS", 1_000)
    assert figures(run) == shared


@pytest.mark.usefixtures("forked")
@pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")
def test_a_lost_judge_ends_a_report(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No report is made from half of the scores."""

    def lost(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(BatchScorer, "score_block", lost)
    with pytest.raises(ProcessLostError, match="for judging outputs was killed") as caught:
        build_report(Run.open(run))
    assert caught.value.exit_code == EXIT_STORAGE  # a gate that does not hold is 1


def test_axes_that_vary_together_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the report is made, and says along which axes nothing could be compared."""
    setting = recorded._setting

    def another(number: int) -> Setting:
        axes = {"model": f"m{number}", "temperature": number}
        return msgspec.structs.replace(
            setting(number), model=f"m{number}", axes=axes, params={**axes, "top_p": 1.0}
        )

    monkeypatch.setattr(recorded, "_setting", another)
    make(tmp_path / "together", Shape(prompts=5, settings=3, repeats=3))
    data = build_report(Run.open(tmp_path / "together")).data
    assert data["comparisons"] == data["trends"] == []
    assert len(data["settings"]) == 3
    notes = "\n".join(data["run"]["notes"])
    assert "nothing is compared along model: no two settings differ in `model` alone" in notes
    assert "nothing is compared along temperature" in notes


def test_leaders_are_the_best_figures_and_their_group_the_undetected(sweep: Report) -> None:
    """The leader has the best mean; who is in the group is decided by the adjusted p alone."""
    for metric, sign in DIRECTIONS.items():
        found = sweep.data["leaders"][metric]
        if found is None:
            continue
        assert all(sign * found["value"] >= sign * row["value"] for row in found["others"])
        level = {r["setting_id"] for r in found["others"] if r["p_adjusted"] >= 0.05}
        assert set(found["group"]) == {found["setting_id"], *level}
    assert sweep.data["leaders"]["agreement_answer"] is None


def test_clear_leaders_are_found(sweep: Report) -> None:
    """Temperature 0 repeats itself and costs least, by construction."""
    labels = {row["setting_id"]: row["axes"]["temperature"] for row in sweep.data["settings"]}
    for metric in ("agreement", "cost_usd"):
        group = sweep.data["leaders"][metric]["group"]
        assert {labels[name] for name in group} == {0.0}


def test_distributions_count_every_prompt_once(sweep: Report) -> None:
    """The tally of agreements over prompts adds up to the prompts of the setting."""
    for row, drawn in zip(sweep.data["settings"], sweep.data["distributions"], strict=True):
        tally = drawn["agreement"]
        assert sum(count for _, count in tally) == row["prompts"]
        mean = sum(value * count for value, count in tally) / row["prompts"]
        assert mean == pytest.approx(row["agreement"]["raw"]["pairwise"], abs=1e-4)


def test_the_time_line_holds_every_trial(sweep: Report) -> None:
    """Bins partition the trials."""
    found = sweep.data["timeline"]
    assert sum(place["trials"] for place in found["bins"]) == sweep.data["run"]["records"]
