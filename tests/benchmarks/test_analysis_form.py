"""The analysis benchmark in small: every record is looked at, and how it is cut makes no difference."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import analysis, recorded
from benchmarks.recorded import Shape, make
from evalharness.analysis.agreement import breakdowns
from evalharness.analysis.data import encode, pairs, variants
from evalharness.analysis.data.frame import METRICS
from evalharness.analysis.stats import permutation
from evalharness.columnar.row_store import Held
from evalharness.columnar.text_pool import Texts
from evalharness.errors import EXIT_STORAGE, ProcessLostError
from evalharness.records import Setting
from evalharness.report.build import open_run as gathering
from evalharness.report.build import report_data as report
from evalharness.report.build.open_run import gather
from evalharness.report.build.report_data import build
from evalharness.scoring.score_batches import Marker
from evalharness.store.folder.run import Run
from evalharness.store.parts.verify import verify_folder

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
    data = build(Run.open(root)).data
    for name in ("name", "created_at", "updated_at"):
        del data["run"][name]
    del data["provenance"]
    for effect in data["effects"]:
        effect["evidence"].pop("rows", None)
    return json.dumps(data)


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


def test_equal_columns_are_flipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal columns one is tried, of those no pattern can reach none: p is the same."""
    rng = np.random.default_rng(0)
    column = rng.normal(size=200)
    tried: list[int] = []
    count = permutation._count_extreme

    def counted(sums: Any, *rest: Any) -> Any:
        tried.append(len(sums))
        return count(sums, *rest)

    monkeypatch.setattr(permutation, "_count_extreme", counted)
    table = np.column_stack([column, column + 2.0, column, np.zeros(200), column + 0.1])
    p = permutation.sign_flip(table)
    assert tried == [2]
    assert p[0] == p[2] == permutation.sign_flip(column)[0]
    assert p[4] == permutation.sign_flip(column + 0.1)[0]
    assert p[1] == 1e-4  # what trying it gives, too:
    assert count((column + 2.0)[None], np.zeros(1), 0, 9_999).tolist() == [0]
    assert p[3] == 1.0


@pytest.mark.parametrize("blas", ["1", "2"])
def test_sign_flips_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch, blas: str) -> None:
    """Whoever shares the products, and in whatever blocks: the same patterns, the same p."""
    table = np.random.default_rng(1).normal(0.01, 1.0, size=(700, 3))
    expected = permutation.sign_flip(table)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", blas)
    monkeypatch.setattr(permutation, "_PRODUCT", 7_001)
    assert permutation.sign_flip(table).tolist() == expected.tolist()


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly anything is held in memory."""
    monkeypatch.setattr(Texts.__init__, "__defaults__", (500,))
    monkeypatch.setattr(Held.__init__, "__defaults__", ((), 2_000))


@pytest.mark.usefixtures("crowded")
def test_a_report_does_not_depend_on_the_parts(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of 7 rows, all in a file, counted in small blocks, one after the other: equal bytes."""
    expected = figures(run)
    make(tmp_path / "cut", SHAPE, part_rows=7)
    monkeypatch.setattr(variants, "_PART", 11)
    monkeypatch.setattr(pairs, "BLOCK", 13)
    monkeypatch.setattr(breakdowns, "BLOCK", 13)
    monkeypatch.setattr(encode, "_BLOCK", 17)
    monkeypatch.setattr(report, "_MANY", 1)
    assert figures(tmp_path / "cut") == expected


@pytest.fixture
def aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the records and the cores: copies of the process share the work."""
    monkeypatch.setattr(gathering, "ASIDE_FROM", 0)
    monkeypatch.setattr(gathering, "can_fork", lambda: sys.platform == "linux")


@pytest.mark.usefixtures("crowded", "aside")
def test_a_report_does_not_depend_on_who_works_on_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged and counted in copies of this process, part by part: equal bytes."""
    make(tmp_path / "cut", SHAPE, part_rows=7)
    shared = figures(tmp_path / "cut")
    monkeypatch.setattr(gathering, "ASIDE_FROM", 1_000)
    assert figures(run) == shared


@pytest.mark.usefixtures("aside")
@pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")
def test_a_lost_judge_ends_a_report(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No report is made from half of the scores."""

    def lost(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Marker, "mark", lost)
    with pytest.raises(ProcessLostError, match="for judging outputs was killed") as caught:
        build(Run.open(run))
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
    data = build(Run.open(tmp_path / "together")).data
    assert data["comparisons"] == data["trends"] == []
    assert len(data["settings"]) == 3
    notes = "\n".join(data["run"]["notes"])
    assert "nothing is compared along model: no two settings differ in `model` alone" in notes
    assert "nothing is compared along temperature" in notes


@pytest.mark.usefixtures("crowded")
def test_held_rows_are_the_rows_of_the_table(run: Path) -> None:
    """Numbers of texts stand for the texts, in the order of the table; null stays null."""
    found = gather(Run.open(run))
    held, table = found.records, Run.open(run).table("records")
    texts = found.frame.held
    assert texts is not None
    for name in ("prompt_id", "repeat", "status", "latency_s", "sent_at", "finish_reason"):
        assert held[name].to_pylist() == table[name].to_pylist()
        assert held.take(name, np.array([70, 3, 70])) == table[name].take([70, 3, 70]).to_pylist()
    assert "seed" not in held.column_names  # a column without any value
    for name in ("text", "refusal"):
        numbers = held[name].to_pylist()
        known = [number for number in numbers if number is not None]
        said = iter(texts.take(np.array(known)))
        assert [None if n is None else next(said) for n in numbers] == table[name].to_pylist()
        lengths = [len(text) for text in table[name].to_pylist() if text is not None]
        assert [texts.lengths[number] for number in known] == lengths
    blocks = list(held.tables(["status", "seed", "prompt_tokens"], rows=100))
    assert [len(block) for block in blocks] == [240]
    assert blocks[0].to_pylist() == table.select(["status", "prompt_tokens"]).to_pylist()


def test_texts_are_numbered_once() -> None:
    """A text keeps its number, wherever it comes again; the empty text is 0."""
    import pyarrow as pa

    held = Texts(held_bytes=0)
    many = [f"text {number}" for number in range(20_000)]
    first = held.add(pa.array(["", None, *many]))
    assert first.to_pylist()[:3] == [0, None, 1]
    assert held.add(pa.array(many[::-1])).to_pylist() == first.to_pylist()[:1:-1]
    assert len(held) == 20_001
    assert held.take(np.array([20_000, 0, 5])) == ["text 19999", "", "text 4"]
    again = pa.array(["b", "text 4", "a", None, "b", "é", "a", ""])
    assert held.add(again.slice(1)).to_pylist() == [5, 20_001, None, 20_002, 20_003, 20_001, 0]
    assert held.take([20_001, 20_002, 20_003]) == ["a", "b", "é"]
    assert held.lengths[-3:].tolist() == [1, 1, 1]
    assert held.add(pa.chunked_array([again, again])).to_pylist()[8:] == [
        20_002, 5, 20_001, None, 20_002, 20_003, 20_001, 0,
    ]  # fmt: skip
    held.close()
    assert held.take([20_001]) == ["a"]
    with pytest.raises(ValueError, match="complete"):
        held.add(pa.array(["c"]))
