"""The journal drops nothing that is not in the store, and a lost machine can be taken over."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from evalharness import errors
from evalharness.distributed import leases
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts.verify import verify_folder
from evalharness.store.remote import conditional, locations, object_store, sync
from evalharness.store.remote.locations import acquire_lock, fetch_run, results_root
from evalharness.store.remote.object_store import RemoteFolder
from tests.store.sample_run import SETTING, digests, intent, prompt, result

STAGING = "EVALHARNESS_STAGING"


def filled(root: Path, trials: range) -> RunStore:
    one = RunStore(root, code_version="0")
    prompts = [prompt(n) for n in range(20)]
    one.save_plan(
        config_yaml="", prompts=prompts, digests=digests(prompts), settings=[SETTING], planned=20
    )
    one.start()
    for number in trials:
        one.append(intent(number))
        one.append(result(number))
    return one


async def test_a_store_that_refuses_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal drops nothing that is not there: exit 74, and the next session uploads it."""
    monkeypatch.setattr(object_store, "_WAITS_S", (0.01,))
    url = f"file://{tmp_path}/shared"
    root = results_root(url, str(tmp_path / "copies")) / "r"
    one = filled(root, range(5))
    in_the_way = tmp_path / "shared" / "r" / "attempts"
    in_the_way.write_text("")
    with pytest.raises(errors.StorageError, match="attempts/part-000001"):
        await one.finish(status="complete", reason=None)
    assert verify_folder(root).sealing == 2  # the seal is not over: the journal holds all
    assert b'"open":true' in (tmp_path / "shared" / "r" / "owner.json").read_bytes()
    in_the_way.unlink()
    again = filled(root, range(5, 20))
    await again.finish(status="complete", reason=None)
    report = verify_folder(tmp_path / "shared" / "r")
    assert report.is_sound, report.findings
    assert report.records == 20
    assert b'"open":false' in (tmp_path / "shared" / "r" / "owner.json").read_bytes()


async def test_a_manifest_that_was_not_uploaded_keeps_the_run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part is there and the journal is empty; what the store says of the run is old."""
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    owner = tmp_path / "shared" / "r" / "owner.json"
    one = filled(root, range(20))
    await one.seal()
    put = RemoteFolder.put

    def refused(self: RemoteFolder, name: str, path: Path) -> str:
        if name == "run.json":
            raise errors.StorageError("refused, this once")
        return put(self, name, path)

    with monkeypatch.context() as once:
        once.setattr(RemoteFolder, "put", refused)
        with pytest.raises(errors.StorageError, match="this once"):
            await one.finish(status="complete", reason=None)
    assert b'"open":true' in owner.read_bytes()
    again = filled(root, range(0))
    await again.finish(status="complete", reason=None)
    assert b'"open":false' in owner.read_bytes()
    RunStore(root, code_version="0").close()  # ends before anything is written
    assert b'"open":false' in owner.read_bytes()
    assert verify_folder(tmp_path / "shared" / "r").is_sound


async def test_a_machine_lost_while_errors_were_reopened_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is there as it is now, and the manifest as it was: either content is whole."""
    url = f"file://{tmp_path}/shared"
    here = results_root(url, str(tmp_path / "here")) / "r"
    one = filled(here, range(18))
    for number in (18, 19):
        one.append(intent(number))
        one.append(structs.replace(result(number, final=False), final=True))
    await one.finish(status="complete", reason=None)
    again = filled(here, range(0))

    def killed(self: sync.RunSync, name: str) -> None:
        if name == "run.json" and '"rewriting": []' in (here / name).read_text():
            raise KeyboardInterrupt
        put(self, name)

    put = sync.RunSync._put_if_changed
    with monkeypatch.context() as patch:
        patch.setattr(sync.RunSync, "_put_if_changed", killed)
        with pytest.raises(KeyboardInterrupt):
            again.retry_errors(prompts=[prompt(n) for n in range(20)], repeats=1)
    again.close()
    monkeypatch.setenv(STAGING, str(tmp_path / "reader"))
    assert verify_folder(fetch_run(f"{url}/r")).records == 18
    owner = json.loads((tmp_path / "shared" / "r" / "owner.json").read_bytes())
    assert owner["open"]
    there = results_root(url, str(tmp_path / "there")) / "r"
    lock = acquire_lock(SimpleNamespace(
        results_dir=url, staging_dir=str(tmp_path / "there"), name="r", claim_lost_copy=owner["copy"]
    ))  # fmt: skip
    last = RunStore(there, code_version="0", lock=lock)
    assert "without a record (up to 2)" in " ".join(last.folder.manifest.notes)
    assert last.folder.manifest.recorded == 18
    last.start()
    await last.finish(status="interrupted", reason=None)
    assert verify_folder(there).is_sound
    assert verify_folder(fetch_run(f"{url}/r")).records == 18


async def test_journals_on_workers_disks_keep_the_run_here(tmp_path: Path) -> None:
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    one = filled(root, range(5))
    ledger = leases.LeaseLedger(root / "journal", "plan")
    ledger.register_worker("worker-0001", leases.JournalLocation("node", "folder"))
    await one.finish(status="stopped", reason=None)
    owner = tmp_path / "shared" / "r" / "owner.json"
    assert b'"open":true' in owner.read_bytes()
    ledger.close_worker("worker-0001")
    await filled(root, range(0)).finish(status="stopped", reason=None)
    assert b'"open":false' in owner.read_bytes()


async def test_a_second_reader_waits_for_the_first_one_s_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/shared"
    one = filled(results_root(url, str(tmp_path / "here")) / "r", range(20))
    await one.finish(status="complete", reason=None)
    monkeypatch.setenv(STAGING, str(tmp_path / "there"))
    root = results_root(url) / "r"
    first, turned_away, take = take_lock(root), threading.Event(), locations.take_lock

    def noticed(folder: Path) -> int:
        try:
            return take(folder)
        except errors.RunInUseError:
            turned_away.set()
            raise

    monkeypatch.setattr(locations, "take_lock", noticed)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(fetch_run, f"{url}/r")
        assert turned_away.wait(60)
        assert not second.done()
        os.close(first)
        assert verify_folder(second.result()).records == 20


async def test_what_does_not_read_back_is_not_taken_for_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    one = filled(root, range(5))
    chunks = RemoteFolder._chunks
    monkeypatch.setattr(
        RemoteFolder, "_chunks",
        lambda self, name: (c[::-1] if name.startswith("records/") else c for c in chunks(self, name)),
    )  # fmt: skip
    with pytest.raises(errors.StorageError, match="does not read back"):
        await one.finish(status="complete", reason=None)
    monkeypatch.undo()
    assert "records/part-000001.parquet" not in (root / ".uploaded").read_text()
    assert verify_folder(root).sealing == 2


@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
@pytest.mark.parametrize("taken_over", [False, True], ids=["new", "of a lost copy"])
def test_of_many_copies_that_claim_a_run_at_once_one_gets_it(
    store: str, tmp_path: Path, taken_over: bool
) -> None:
    """All have seen the same owner before any of them writes; the store decides, without a wait."""
    base, _, query = store.partition("?")
    remote = RemoteFolder(f"{base}/r?{query}" if query else f"{base}/r")
    lost = None
    if taken_over:
        owner = sync.RunSync(tmp_path / "lost" / "r", remote, "lost")
        owner.fetch(writing=True)
        owner.claim()
        lost = "lost"
    copies = [sync.RunSync(tmp_path / str(n) / "r", remote, f"copy-{n}") for n in range(8)]
    for copy in copies:
        copy.fetch(writing=True, claim_lost_copy=lost)
    start = threading.Barrier(len(copies))

    def claims(copy: sync.RunSync) -> bool:
        start.wait(60)
        try:
            copy.claim()
        except errors.RunInUseError:
            return False
        return True

    with ThreadPoolExecutor(len(copies)) as pool:
        won = list(pool.map(claims, copies))
    assert won.count(True) == 1
    owner_now = json.loads(remote.read("owner.json") or b"")
    assert owner_now["copy"] == f"copy-{won.index(True)}"


def test_a_store_that_ignores_conditions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may take `If-None-Match: *` for a header like any other."""

    def overwritten(self: conditional.PathStore, name: str, content: bytes) -> bool:
        (self._root / name).parent.mkdir(parents=True, exist_ok=True)
        (self._root / name).write_bytes(content)
        return True

    monkeypatch.setattr(conditional.PathStore, "create", overwritten)
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    with pytest.raises(errors.StorageError, match="If-None-Match"):
        RunStore(root, code_version="0")
