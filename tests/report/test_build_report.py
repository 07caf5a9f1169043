"""The data of a report: complete, and independent of how the run is stored or read."""

from __future__ import annotations

import json
import os
import shutil
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
from evalharness.errors import EXIT_STORAGE, ConfigError, ProcessLostError
from evalharness.records import Setting
from evalharness.report import build_report as builder
from evalharness.report.build import open_run
from evalharness.report.build_report import Report, build_report
from evalharness.report.sections.comparisons.section import COMPARISONS, NOT_COMPARABLE, TRENDS
from evalharness.report.sections.headline.caveats import caveats
from evalharness.report.sections.leaders import LEADERS
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.scoring.score_batches import BatchScorer
from evalharness.store.folder.run import Run
from tests.report.json_reports import json_of

SHAPE = Shape(prompts=12, settings=4, repeats=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one part."""
    root = tmp_path_factory.mktemp("runs") / "total"
    make(root, SHAPE)
    return root


def figures(root: Path) -> str:
    """The report as JSON, without what names the folder and its age.

    Bodies are looked at in the newest part alone, so how many were seen is left out, too.
    """
    data = json_of(build_report(Run.open(root)).data)
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
    monkeypatch.setattr(builder, "_FORK_EACH_FROM_RECORDS", 1)
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
    report = build_report(Run.open(tmp_path / "together")).data
    assert report[COMPARISONS] == report[TRENDS] == []
    assert len(report[SETTINGS]) == 3
    reasons = report[NOT_COMPARABLE]
    assert set(reasons) == {"model", "temperature"}
    assert reasons["model"].startswith("no two settings differ in `model` alone")
    texts = [caveat.text for caveat in caveats(report)]
    assert any(text.startswith("nothing is compared along temperature: ") for text in texts)


def test_records_of_lost_settings_are_not_called_missing(run: Path, tmp_path: Path) -> None:
    """Where the table of settings is damaged nobody is told to ask, and pay, again."""
    folder = tmp_path / "damaged"
    shutil.copytree(run, folder)
    (folder / "settings.parquet").unlink()
    with pytest.raises(ConfigError, match="has 240 records, and none is of the settings") as caught:
        build_report(Run.open(folder))
    assert "what is recorded is not sent again" in (caught.value.hint or "")


def test_leaders_are_the_best_figures_and_their_group_the_undetected(sweep: Report) -> None:
    """The leader has the best mean; who is in the group is decided by the adjusted p alone."""
    for metric, sign in DIRECTIONS.items():
        leaders = sweep.data[LEADERS][metric]
        if leaders is None:
            continue
        assert all(sign * leaders.value >= sign * row.value for row in leaders.others)
        level = {row.setting_id for row in leaders.others if (row.p_adjusted or 0) >= 0.05}
        assert set(leaders.group) == {leaders.setting_id, *level}
    assert sweep.data[LEADERS]["agreement_answer"] is None


def test_clear_leaders_are_found(sweep: Report) -> None:
    """Temperature 0 repeats itself and costs least, by construction."""
    labels = {row.setting_id: row.axes["temperature"] for row in sweep.data[SETTINGS]}
    for metric in ("agreement", "cost_usd"):
        leaders = sweep.data[LEADERS][metric]
        assert leaders is not None
        assert {labels[name] for name in leaders.group} == {0.0}
