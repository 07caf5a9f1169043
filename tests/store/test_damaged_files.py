"""P5: whatever happens to the bytes of a run folder, altered data is never returned."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalharness.columnar.arrow_ops import read_parquet
from evalharness.errors import StorageError
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal import journal_format
from evalharness.store.parts.verify import verify_folder
from tests.store.sample_run import SETTING, digests, intent, open_store, prompt, result

COUNT = 24
# Answers from short to longer than a page of the journal.
TEXTS = {f"p{n}": f"answer {n} " + "word " * (150 * (n % 8)) for n in range(COUNT)}


async def _journal(root: Path, kept: Path, *, checkpointed: bool) -> None:
    store = open_store(root, COUNT)
    store.start()
    for number in range(COUNT):
        await store.append(intent(number))
        await store.append(result(number, text=TEXTS[f"p{number}"]))
        if checkpointed and number == COUNT // 2:
            await store.journal.execute(lambda _: None)
            store.journal.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    shutil.copytree(root, kept)  # as a kill would leave it: nothing closed
    store.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """A folder as a kill leaves it, made once."""
    base = tmp_path_factory.mktemp("kept")

    def one(checkpointed: bool) -> Path:
        target = base / f"left-{checkpointed}"
        if not target.exists():
            asyncio.run(_journal(base / f"live-{checkpointed}", target, checkpointed=checkpointed))
        return target

    return one


def damage(path: Path, kind: str, where: float, size: int) -> bool:
    """Cut a file, flip a bit of it, or overwrite some of it; whether that changed anything."""
    raw = path.read_bytes()
    at = min(len(raw) - 1, int(where * len(raw)))
    changed = bytearray(raw)
    if kind == "cut":
        del changed[at:]
    elif kind == "flip":
        changed[at] ^= 1 << (size % 8)
    else:
        changed[at : at + size] = bytes(len(changed[at : at + size]))
    path.write_bytes(bytes(changed))
    return bytes(changed) != raw


def returned(root: Path) -> dict[str, str]:
    """Every record a reader gets, by prompt; each is what was written."""
    table = Run.open(root).table("records", ["prompt_id", "text"])
    rows = {row["prompt_id"]: row["text"] for row in table.to_pylist()}
    assert len(rows) == len(table), "a trial has two records"
    for key, text in rows.items():
        assert text == TEXTS[key], "altered data was returned"
    return rows


async def finish(root: Path) -> None:
    """Ask what is left, as a run does."""
    store = RunStore(root, code_version="test")
    prompts = [prompt(n) for n in range(COUNT)]
    store.save_plan(
        config_yaml="", prompts=prompts, digests=digests(prompts), settings=[SETTING],
        planned=COUNT,
    )  # fmt: skip
    done = set(store.done_keys()["prompt_id"].to_pylist())
    store.start()
    for number in (n for n in range(COUNT) if f"p{n}" not in done):
        before = store.recovery.unfinished.get(intent(number).trial_id)
        attempt = 1 if before is None else before.attempts + 1
        await store.append(intent(number, attempt))
        await store.append(result(number, attempt, text=TEXTS[f"p{number}"]))
    await store.finish(status="complete", reason=None)


@pytest.fixture(scope="module", autouse=True)
def _short_search() -> Iterator[None]:
    """A journal of 48 entries need not be searched as far as one of a million."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_format, "_MAX_MISSES", 100)
        yield


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(["journal.sqlite", "journal.sqlite-wal"]),
    checkpointed=st.booleans(),
    kind=st.sampled_from(["cut", "flip", "zero"]),
    where=st.floats(0, 1, exclude_max=True),
    size=st.sampled_from([1, 7, 100, 512, 4096, 9000]),
)
def test_a_damaged_journal_gives_back_what_is_sound_and_nothing_else(
    kept: Callable[[bool], Path],
    tmp_path: Path,
    file: str,
    checkpointed: bool,
    kind: str,
    where: float,
    size: int,
) -> None:
    """Sound records survive, damage is reported, and the run ends with its plan exactly once."""
    root = tmp_path / "run"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(kept(checkpointed), root)
    path = root / "journal" / file
    length = path.stat().st_size
    damage(path, kind, where, size)
    (root / "journal" / "journal.sqlite-shm").unlink()  # not of this machine any more
    readable = returned(root)
    asyncio.run(finish(root))
    assert returned(root) == TEXTS
    report = verify_folder(root)
    assert report.is_sound, report.findings
    assert report.records == COUNT
    said = Run.open(root).manifest.notes
    # A log that ends earlier is what an earlier kill would have left, and a last transaction that is
    # not whole what any kill may leave; whatever else is lost has been said.
    to_the_end = kind == "cut" or (kind == "zero" and int(where * length) + size >= length)
    if file.endswith("-wal") and to_the_end and not said:
        assert readable.keys() == {f"p{n}" for n in range(len(readable))}
    else:
        assert len(readable) >= COUNT - 1 or said


def test_entries_past_a_damaged_frame_are_saved(
    kept: Callable[[bool], Path], tmp_path: Path
) -> None:
    """One bad byte at the head of the log, and nothing in it has to be bought again."""
    root = tmp_path / "run"
    shutil.copytree(kept(False), root)
    damage(root / "journal" / "journal.sqlite-wal", "flip", 0.02, 1)
    (root / "journal" / "journal.sqlite-shm").unlink()
    assert len(returned(root)) < COUNT // 2
    store = RunStore(root, code_version="test")
    assert store.done_keys().num_rows >= COUNT - 2
    assert "entries of them were saved" in store.recovery.damage[0].reason
    store.close()
    assert len(returned(root)) >= COUNT - 2


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        [
            "records/part-000001.parquet",
            "attempts/part-000001.parquet",
            "prompts.parquet",
            "settings.parquet",
        ]
    ),
    kind=st.sampled_from(["cut", "flip", "zero"]),
    where=st.floats(0, 1, exclude_max=True),
    size=st.sampled_from([1, 3, 50, 700]),
)
def test_a_damaged_part_is_refused_by_every_reader(
    sealed: Path, tmp_path: Path, name: str, kind: str, where: float, size: int
) -> None:
    """A cut or flipped sealed file is named by verify, and gives its content or an error."""
    root = tmp_path / "run"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(sealed, root)
    table = name.split("/")[0].removesuffix(".parquet")
    whole = read_parquet(root / name)
    if not damage(root / name, kind, where, size):
        return
    refused = refusal(root, table, whole)
    if refused is not None:
        assert str(root / name) in refused.message
        assert f"mv {root / name}" in (refused.hint or "")
    findings = {finding.where for finding in verify_folder(root).findings}
    # The manifest holds a hash of each part; of the two lists beside them only what is read counts.
    assert name in findings or (refused is None and "part" not in Path(name).stem)


def refusal(root: Path, table: str, whole: pa.Table) -> StorageError | None:
    """The error of reading a table; None when it reads, and then it is what was written."""
    try:
        assert Run.open(root).table(table).equals(whole), "altered data was returned"
    except StorageError as error:
        return error
    return None


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with one part."""
    root = tmp_path_factory.mktemp("sealed") / "run"

    async def make() -> None:
        store = open_store(root, 4)
        store.start()
        for number in range(4):
            await store.append(intent(number))
            await store.append(result(number))
        await store.finish(status="complete", reason=None)

    asyncio.run(make())
    return root
