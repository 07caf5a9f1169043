"""Records are found wherever they are: in any part, in the journal, in an older file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalharness.errors import StorageError, UnknownIdError
from evalharness.schema import arrow_schema
from evalharness.store.folder.annotations import TrialKey
from evalharness.store.folder.run import Run
from evalharness.store.parts.part_files import write_part
from evalharness.view.queries.record_lookup import (
    find_key,
    find_prompt,
    find_record,
    prompt_records,
    trial_attempts,
    unknown_prompt,
)
from tests.store.sample_run import fill, intent, open_store
from tests.view.record_runs import write_rich_run, write_text_run


@pytest.fixture(autouse=True)
def _in_folder(work: Path) -> None:
    """All of it in an empty working folder."""


def test_a_record_has_all_columns_of_the_schema() -> None:
    """The same values as the whole table has."""
    run = write_rich_run()
    table = run.table("records")
    for place, trial_id in enumerate(table["trial_id"].to_pylist()):
        found = find_record(run, str(trial_id))
        assert found.schema.equals(arrow_schema("records"))
        assert found.to_pylist() == table.slice(place, 1).to_pylist()
    assert trial_attempts(run, "t/0?").to_pylist() == run.table("attempts").to_pylist()
    assert len(trial_attempts(run, "t/1?")) == 0
    assert find_prompt(run, "dry")["tags"].to_pylist() == [[]]
    assert find_key(run, "t/4?") == TrialKey("t/4?", "rain & shine/1", "s1", 1)


def test_records_of_a_prompt() -> None:
    """Narrow columns and wide ones: of the same records."""
    run = write_rich_run()
    narrow = prompt_records(run, "rain & shine/1", ["trial_id", "repeat"])
    wide = prompt_records(run, "rain & shine/1", ["trial_id", "text", "cost_usd_imported"])
    assert {*narrow["trial_id"].to_pylist()} == {*wide["trial_id"].to_pylist()}
    assert wide["cost_usd_imported"].type == pa.decimal128(24, 12)
    assert len(narrow) == 6
    assert len(prompt_records(run, "dry", ["trial_id", "text"])) == 0


def test_what_is_not_there() -> None:
    run = write_rich_run()
    with pytest.raises(UnknownIdError, match="no record of trial `nothing`"):
        find_record(run, "nothing")
    with pytest.raises(UnknownIdError):
        find_key(run, "' OR 1=1 --")
    assert unknown_prompt(run, "rain shine").hint == "for instance: rain & shine/1 (2 in all)"


def test_several_parts_some_of_them_old() -> None:
    """A column that a file is older than is null there, and known elsewhere."""
    run = write_text_run(["a", "b"], reasoning_text=["x", "y"])
    old = run.root / "records" / "part-000001.parquet"
    table = run.table("records")
    more = table.set_column(0, "trial_id", pa.array(["u0", "u1"]))
    write_part(run.root, "records", 2, more)
    pq.write_table(table.drop_columns(["reasoning_text", "measurement"]), old)
    assert find_record(run, "t1")["reasoning_text"].to_pylist() == [None]
    assert find_record(run, "u1")["reasoning_text"].to_pylist() == ["y"]
    wide = prompt_records(run, "p", ["trial_id", "reasoning_text"]).to_pylist()
    assert {row["trial_id"]: row["reasoning_text"] for row in wide} == {
        "t0": None,
        "t1": None,
        "u0": "x",
        "u1": "y",
    }


async def test_a_run_that_is_being_written(tmp_path: Path) -> None:
    """What the journal alone holds is found, once, also when it has been sealed meanwhile."""
    store = open_store(tmp_path / "r", 5)
    await fill(store, range(3))
    run = Run.open(tmp_path / "r")
    trial_id, prompt_id = intent(1).trial_id, intent(1).prompt_id
    assert find_record(run, trial_id)["prompt_id"].to_pylist() == [prompt_id]
    assert trial_attempts(run, trial_id)["final"].to_pylist() == [True]
    assert find_key(run, trial_id).prompt_id == prompt_id
    before = prompt_records(run, prompt_id, ["trial_id", "text"]).to_pylist()
    assert before == prompt_records(run, prompt_id, ["trial_id", "text"]).to_pylist() != []
    with pytest.raises(UnknownIdError):
        find_record(run, "nothing")
    await store.append(intent(3))
    store.close()
    assert prompt_records(run, prompt_id, ["trial_id", "text"]).to_pylist() == before


@pytest.mark.parametrize("name", ["a[b]c", "a*?", "trial_id=x", "it's"])
def test_folders_with_names_of_all_kinds(name: str) -> None:
    """A path is a path: no pattern, no partition, no SQL."""
    run = write_text_run(["a", "b"])
    moved = Path(name)
    moved.mkdir()
    (run.root).rename(moved / "texts")
    run = Run.open((moved / "texts").absolute())
    assert find_record(run, "t1")["text"].to_pylist() == ["b"]
    assert len(prompt_records(run, "p", ["trial_id", "text"])) == 2


def test_a_damaged_part_is_named() -> None:
    run = write_text_run(["a", "b"])
    part = run.root / "records" / "part-000001.parquet"
    part.chmod(0o600)
    part.write_bytes(b"PAR1 no more PAR1")
    with pytest.raises(StorageError, match=r"part-000001.parquet is damaged"):
        find_record(run, "t1")


def test_a_file_that_is_replaced_is_read_again() -> None:
    """Footers are kept from one look-up to the next, those of the file that is there now."""
    run = write_text_run(["a", "b"])
    assert find_record(run, "t0")["text"].to_pylist() == ["a"]
    table = run.table("records")
    place = table.column_names.index("text")
    changed = table.set_column(place, "text", pa.array(["longer than before", "b"]))
    (run.root / "records" / "part-000001.parquet").unlink()
    write_part(run.root, "records", 1, changed)
    assert find_record(run, "t0")["text"].to_pylist() == ["longer than before"]
