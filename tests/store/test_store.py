"""The run folder: appended, sealed, resumed, read."""

from __future__ import annotations

import asyncio
import sqlite3
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
from evalharness.store.journal.journal_format import SCHEMA, insert_rows
from evalharness.store.parts import seal
from evalharness.store.parts.seal_process import Work, make_part
from evalharness.store.parts.verify import verify_folder
from tests.store.helpers import SETTING, digests, intent, prompt, result


def open_store(root: Path, count: int = 3) -> RunStore:
    store = RunStore(root, code_version="test")
    prompts = [prompt(n) for n in range(count)]
    store.save_plan(
        config_yaml="name: x\n", prompts=prompts, digests=digests(prompts), settings=[SETTING],
        planned=count,
    )  # fmt: skip
    return store


async def fill(store: RunStore, numbers: range) -> None:
    store.start()
    for number in numbers:
        await store.append(intent(number))
        await store.append(result(number))


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
    assert verify_folder(tmp_path / "run").sound


async def test_unsealed_records_are_readable_while_the_writer_works(tmp_path: Path) -> None:
    """A reader sees committed records before they are sealed, and needs no lock."""
    store = open_store(tmp_path / "run")
    await fill(store, range(2))
    run = Run.open(tmp_path / "run")
    assert len(run.table("records")) == 2
    assert run.table("records", ["text"]).num_rows == 2
    await store.finish(status="complete", reason=None)
    assert len(Run.open(tmp_path / "run").table("records")) == 2


def written(store: RunStore, part: int, upto: int) -> None:
    """A part with its name, which the manifest does not list yet."""
    make_part(
        Work(str(store.folder.root), str(store.journal.path), part, upto, store.sealing.providers)
    )


async def test_a_record_in_journal_and_part_is_read_once(tmp_path: Path) -> None:
    """Between naming a part and dropping journal rows a reader still counts each trial once."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    part, upto = await store.journal.execute(lambda db: seal.begin(db, 1))
    written(store, part, upto)
    run = Run.open(tmp_path / "run")
    assert len(run.table("records")) == 3
    assert len(run.table("records", ["text"])) == 3
    assert len(run.table("attempts")) == 3
    store.close()


@pytest.mark.parametrize("stage", ["decided", "written"])
async def test_an_interrupted_seal_is_repeated_exactly_once(tmp_path: Path, stage: str) -> None:
    """A kill inside a seal leaves it to the next process, with the same rows and names."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    part, upto = await store.journal.execute(lambda db: seal.begin(db, 1))
    if stage == "written":
        written(store, part, upto)
    store.close()  # as a kill would: no drop
    again = open_store(tmp_path / "run")
    again.start()
    await again.finish(status="complete", reason=None)
    run = Run.open(tmp_path / "run")
    assert sorted(run.records()["text"]) == ["answer 0", "answer 1", "answer 2"]
    assert run.manifest.by_status == {"ok": 3}
    report = verify_folder(tmp_path / "run")
    assert report.sound, report.findings
    assert report.unsealed == 0


async def test_an_intent_without_a_result_is_in_doubt(tmp_path: Path) -> None:
    """What was sent and not answered before a kill is listed, and tried again as attempt 2."""
    store = open_store(tmp_path / "run")
    store.start()
    await store.append(intent(0))
    store.close()
    again = open_store(tmp_path / "run")
    assert [i.prompt_id for i in again.recovered.newly_in_doubt] == ["p0"]
    state = again.recovered.unfinished[intent(0).trial_id]
    assert (state.attempts, state.in_doubt) == (1, 1)
    again.start()
    await again.append(intent(0, attempt=2))
    await again.append(result(0, attempt=2))
    await again.finish(status="complete", reason=None)
    attempts = Run.open(tmp_path / "run").attempts().sort_values("attempt")
    assert attempts["outcome"].tolist() == ["in_doubt", "delivered"]
    assert attempts["error_kind"].tolist()[0] == "interrupted"


async def test_attempts_of_an_unfinished_trial_stay_in_the_journal(tmp_path: Path) -> None:
    """Sealing takes finished trials only, so that attempt numbers go on after a resume."""
    store = open_store(tmp_path / "run")
    store.start()
    await store.append(intent(0))
    await store.append(result(0, final=False))
    await store.append(intent(1))
    await store.append(result(1))
    await store.finish(status="interrupted", reason="test")
    again = open_store(tmp_path / "run")
    assert again.recovered.unfinished[intent(0).trial_id].attempts == 1
    assert again.done_keys()["prompt_id"].to_pylist() == ["p1"]
    again.close()
    assert len(Run.open(tmp_path / "run").attempts()) == 2


async def test_altered_journal_data_is_never_returned(tmp_path: Path) -> None:
    """A flipped byte in an outcome is detected, set aside, reported, and its trial asked again."""
    store = open_store(tmp_path / "run")
    await fill(store, range(3))
    store.close()
    path = tmp_path / "run" / "journal" / "journal.sqlite"
    with sqlite3.connect(path) as db:
        payload = db.execute("SELECT payload FROM entry WHERE seq = 4").fetchone()[0]
        altered = payload.replace(b"answer 1", b"answer 9")
        db.execute("UPDATE entry SET payload = ? WHERE seq = 4", (altered,))
    db.close()
    run = Run.open(tmp_path / "run")
    assert sorted(run.records()["text"]) == ["answer 0", "answer 2"]
    assert [d.seq for d in run.damage] == [4]
    assert not verify_folder(tmp_path / "run").sound
    again = open_store(tmp_path / "run")
    assert [d.reason for d in again.recovered.damage] == ["checksum does not match"]
    assert sorted(again.done_keys()["prompt_id"].to_pylist()) == ["p0", "p2"]
    assert [i.prompt_id for i in again.recovered.newly_in_doubt] == ["p1"]
    again.close()


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


async def test_background_sealing_keeps_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a part every 50 trials, concurrent appends and seals lose and repeat nothing."""
    monkeypatch.setattr(seal, "SEAL_TRIALS", 50)
    store = open_store(tmp_path / "run", 500)
    store.start()

    async def one(number: int) -> None:
        await store.append(intent(number))
        store.put(result(number))

    for start in range(0, 500, 20):
        await asyncio.gather(*(one(n) for n in range(start, start + 20)))
    await store.finish(status="complete", reason=None)
    run = Run.open(tmp_path / "run")
    assert run.records()["trial_id"].nunique() == len(run.records()) == 500
    assert len(run.manifest.parts) >= 4
    assert verify_folder(tmp_path / "run").sound


async def test_sealing_carries_unfinished_trials_on(tmp_path: Path) -> None:
    """Part after part, with attempts of unfinished trials carried on: each row once, nothing lost."""
    store = open_store(tmp_path / "run", count=3)
    store.start()
    await store.append(intent(0))
    await store.append(result(0, final=False))
    for number in (1, 2):
        await store.append(intent(number))
        await store.append(result(number))
        await store.seal()
    await store.append(intent(0, attempt=2))
    await store.append(result(0, attempt=2))
    await store.finish(status="complete", reason=None)
    assert verify_folder(tmp_path / "run").sound
    run = Run.open(tmp_path / "run")
    assert [part.rows for part in run.manifest.parts if "records" in part.path] == [1, 1, 1]
    assert sorted(run.attempts()["attempt"]) == [1, 1, 1, 2]


async def test_the_first_seal_after_a_kill_reads_what_the_journal_held_before(
    tmp_path: Path,
) -> None:
    """Entries of an earlier process, finished or not, and those of this one: each row once."""
    store = open_store(tmp_path / "run", count=5)
    await fill(store, range(2))
    await store.append(intent(2))
    await store.append(result(2, final=False))
    store.close()  # as a kill would
    again = open_store(tmp_path / "run", count=5)
    again.start()
    for number in (3, 4):
        await again.append(intent(number))
        await again.append(result(number))
        await again.seal()
    await again.append(intent(2, attempt=2))
    await again.append(result(2, attempt=2))
    await again.finish(status="complete", reason=None)
    assert verify_folder(tmp_path / "run").sound
    run = Run.open(tmp_path / "run")
    assert sorted(run.records()["prompt_id"]) == ["p0", "p1", "p2", "p3", "p4"]
    assert len(run.attempts()) == 6
    assert not run.damage


@pytest.mark.parametrize("count", [1, 63, 64, 65, 511, 512, 513, 700])
def test_rows_are_appended_in_order_and_numbered_without_gaps(count: int) -> None:
    """However many statements a batch takes."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    insert_rows(db, [(1, b"before", 0)])
    insert_rows(db, [(1, b"%d" % n, n) for n in range(count)])
    found = db.execute("SELECT seq, payload, crc FROM entry WHERE seq > 1 ORDER BY seq").fetchall()
    assert found == [(n + 2, b"%d" % n, n) for n in range(count)]
