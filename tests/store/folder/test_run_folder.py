"""The run folder: readable while it is written, private, one writer."""

from __future__ import annotations

import stat
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

import evalharness
from evalharness.errors import ConfigError, RunInUseError, RunNotFoundError
from evalharness.schema import arrow_schema
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import SETTING, digests, fill, open_store, prompt


async def test_sealed_records_have_the_fixed_schema(tmp_path: Path) -> None:
    """Every column keeps its type although most are null, in pandas and in DuckDB."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    await store.finish(status="complete", reason=None)
    parts = sorted((tmp_path / "run" / "records").glob("part-*.parquet"))
    assert len(parts) == 1
    assert pq.read_schema(parts[0]).equals(arrow_schema("records"))
    run = evalharness.load(tmp_path / "run")
    frame = run.records()
    assert sorted(frame["text"]) == ["answer 0", "answer 1", "answer 2"]
    assert frame["temperature"].tolist() == [0.0, 0.0, 0.0]
    assert frame["seed"].isna().all()
    query = f"SELECT count(*), sum(total_tokens) FROM '{tmp_path}/run/records/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(3, 15)]
    assert len(run.attempts()) == 3
    assert run.manifest.status == "complete"
    assert run.manifest.recorded == 3
    assert verify_folder(tmp_path / "run").is_sound


async def test_unsealed_records_are_readable_while_the_writer_works(tmp_path: Path) -> None:
    """A reader sees committed records before they are sealed, and needs no lock."""
    store = open_store(tmp_path / "run")
    await fill(store, range(2))
    run = Run.open(tmp_path / "run")
    assert len(run.table("records")) == 2
    assert run.table("records", ["text"]).num_rows == 2
    await store.finish(status="complete", reason=None)
    assert len(Run.open(tmp_path / "run").table("records")) == 2


async def test_a_second_writer_is_turned_away(tmp_path: Path) -> None:
    """One writer per run folder; the loser changes nothing."""
    store = open_store(tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    with pytest.raises(RunInUseError, match="being written by process"):
        RunStore(tmp_path / "run", code_version="test")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before
    store.close()


async def test_a_changed_prompt_is_refused_once_it_has_answers(tmp_path: Path) -> None:
    """An id names one text for the life of a run: answers to two texts never mix."""
    store = open_store(tmp_path / "run")
    await fill(store, range(1))
    await store.finish(status="complete", reason=None)
    again = RunStore(tmp_path / "run", code_version="test")
    changed = [prompt(0), prompt(1)]
    with pytest.raises(ConfigError, match="prompt `p0`"):
        again.save_plan(
            config_yaml="", prompts=changed, digests=["other", digests(changed)[1]],
            settings=[SETTING], planned=2,
        )  # fmt: skip
    again.save_plan(
        config_yaml="", prompts=changed, digests=[digests(changed)[0], "other"],
        settings=[SETTING], planned=2,
    )  # fmt: skip
    again.close()


async def test_folders_and_files_are_private(tmp_path: Path) -> None:
    """Answers and prompts are readable by their owner alone."""
    store = open_store(tmp_path / "run")
    await fill(store, range(1))
    await store.finish(status="complete", reason=None)
    for path in [tmp_path / "run", *(tmp_path / "run").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_an_unknown_run_lists_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the runs that exist."""
    monkeypatch.chdir(tmp_path)
    open_store(tmp_path / "results" / "mine").close()
    with pytest.raises(RunNotFoundError, match="runs here: mine"):
        evalharness.load("other")
