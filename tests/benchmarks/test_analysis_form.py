"""The analysis benchmark in small: every record is looked at, and how it is cut makes no difference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import analysis
from benchmarks.recorded import Shape, make
from evalharness.report.build import build
from evalharness.store.run import Run
from evalharness.store.verify import verify_folder
from evalharness.texts import Texts

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


def test_sign_flips_test_every_column() -> None:
    """The timed product has a column for each setting but one, in each metric."""
    assert analysis.permutations(prompts=30, settings=4, metrics=2)["columns"] == 6


def test_a_report_does_not_depend_on_the_parts(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same records in parts of 7 rows, with hardly any text held in memory: equal bytes."""
    make(tmp_path / "cut", SHAPE, part_rows=7)
    monkeypatch.setattr(Texts.__init__, "__defaults__", (500,))
    assert figures(tmp_path / "cut") == figures(run)


def test_compact_rows_are_the_rows_of_the_table(run: Path) -> None:
    """Numbers of texts stand for the texts, in the order of the table; null stays null."""
    columns = ["prompt_id", "repeat", "status", "text", "refusal", "latency_s"]
    held = Texts(held_bytes=1_000)
    compact = Run.open(run).snapshot("records").compact(columns, held)
    table = Run.open(run).table("records", columns)
    for name in ("prompt_id", "repeat", "status", "latency_s"):
        assert compact[name].to_pylist() == table[name].to_pylist()
    for name in ("text", "refusal"):
        if name not in compact.column_names:  # a column without any value
            assert table[name].null_count == len(table)
            continue
        numbers = compact[name].to_pylist()
        known = [number for number in numbers if number is not None]
        found = iter(held.take(np.array(known)))
        said = [None if number is None else next(found) for number in numbers]
        assert said == table[name].to_pylist()
        assert [held.lengths[number] for number in known] == [len(t) for t in said if t is not None]


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
