"""A results root by URL: sealed parts in the store, the journal on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

import evalharness as package
from evalharness import errors
from evalharness.distributed import leases
from evalharness.store.folder.lock import take_lock
from evalharness.store.folder.writer import RunStore
from evalharness.store.parts.verify import verify_folder
from evalharness.store.remote import locations, object_store, sync
from evalharness.store.remote.locations import fetched, hold, results_root
from evalharness.store.remote.object_store import Remote
from tests.durability.invariants import (
    final_state_is_sound,
    nothing_bought_twice_unsaid,
    said,
)
from tests.durability.processes import Done, Emulator, Zygote
from tests.remote.s3 import keys
from tests.store.helpers import SETTING, digests, intent, prompt, result

PLAN = (
    "dataset.limit=6", "sweep.seed=[1,2]", "sweep.temperature=[0,1]", "repeats=4", "scoring=none",
    "params.max_tokens=8", "limits.concurrency=6", "limits.in_doubt_retries=3",
)  # fmt: skip
PLANNED = 6 * 2 * 2 * 4


class Machine:
    """A machine of its own, as far as local copies go."""

    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self._zygote, self._folder = zygote, folder
        folder.mkdir()
        self.environment = {mirror_name: str(folder / "copies") for mirror_name in [STAGING]}

    def start(self, *arguments: str, **options: Any) -> Any:
        return self._zygote.start(self._folder, *arguments, **options, **self.environment, **keys())

    def run(self, *arguments: str, **options: Any) -> Done:
        return self.start(*arguments, **options).wait()

    @property
    def copy(self) -> Path:
        (found,) = self._folder.glob("copies/*/r")
        return found


STAGING = "EVALHARNESS_STAGING"


@pytest.fixture
def here(zygote: Zygote, tmp_path: Path) -> Machine:
    return Machine(zygote, tmp_path / "here")


@pytest.fixture
def there(zygote: Zygote, tmp_path: Path) -> Machine:
    return Machine(zygote, tmp_path / "there")


def run_of(store: str) -> str:
    base, _, query = store.partition("?")
    return f"{base}/r?{query}" if query else f"{base}/r"


def command(emulator: Emulator, store: str, *more: str) -> tuple[str, ...]:
    return ("run", "name=r", *emulator.provider, *PLAN, f"results_dir={store}", *more)


@pytest.fixture(scope="module")
def expected(zygote: Zygote, emulator: Emulator, tmp_path_factory: Any) -> list[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("whole")
    done = zygote.run(folder, "run", "name=whole", *emulator.provider, *PLAN, quiet=True)
    assert done.code == 0, done.err
    return said(folder / "results" / "whole")


@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
def test_a_run_on_a_url_is_read_and_extended_from_another_machine(
    here: Machine, there: Machine, emulator: Emulator, store: str, expected: Any
) -> None:
    """Parts, manifest and report are in the store; nothing is asked twice anywhere."""
    begin = len(emulator.ledger())
    done = here.run(*command(emulator, store), seal_trials=16)
    assert done.code == 0, done.err
    assert f"evalharness report {run_of(store)}" in done.last_line.replace("'", "")
    names = Remote(run_of(store)).names()
    assert {"run.json", "config.yaml", "prompts.parquet", "settings.parquet"} < {*names}
    assert {"summary.json", "report.html"} < {*names}
    assert len([n for n in names if n.startswith("records/part-")]) >= 2
    assert not any("journal" in n or "lock" in n for n in names)
    url = run_of(store)
    verified = there.run("verify", url)
    assert verified.code == 0, verified.err
    assert f"{PLANNED} records" in verified.out
    final_state_is_sound(there.copy, expected=expected, planned=PLANNED)
    report = json.loads(there.run("report", url, "--json").out)
    assert report["run"]["status"] == "complete"
    shown = there.run("show", url, expected[0][0])
    assert shown.code == 0, shown.err
    assert "nothing to send" in there.run(*command(emulator, store), quiet=True).err
    more = there.run(*command(emulator, store, "repeats=5"), quiet=True)
    assert more.code == 0, more.err
    again = here.run(*command(emulator, store, "repeats=5"), quiet=True)
    assert "nothing to send" in again.err
    assert len(emulator.ledger()) - begin == PLANNED + 24


def test_compare_check_and_load_take_the_url(
    here: Machine, there: Machine, emulator: Emulator, store: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """On a machine that has no copy, and again when its copy is behind; as on the first machine."""
    assert here.run(*command(emulator, store), quiet=True).code == 0
    url = run_of(store)
    compared = there.run("compare", url, "--by", "temperature", "--json")
    assert compared.code == 0, compared.err
    rows = json.loads(compared.out)["comparisons"]
    assert any(row["n"] for row in rows)
    assert compared.out == here.run("compare", str(here.copy), "--by", "temperature", "--json").out
    held = there.run("check", url, "--max-error-share", "0")
    assert (held.code, held.out.count("ok  ")) == (0, 4), held.err
    broken = there.run("check", url, "--max-latency-p50-s", "0")
    assert (broken.code, broken.out.count("FAIL")) == (1, 4), broken.err
    monkeypatch.setenv(STAGING, str(tmp_path / "notebook"))
    loaded = package.load(url)
    assert len(loaded.records()) == PLANNED
    found = loaded.compare(by="temperature")
    known = [row["difference"] for row in rows if row["difference"] is not None]
    assert found["difference"].dropna().tolist() == known
    more = here.run(*command(emulator, store, "repeats=5"), quiet=True)
    assert more.code == 0, more.err
    assert len(package.load(url).records()) == PLANNED + 24
    again = there.run("compare", url, "--by", "temperature", "--json")
    assert again.out == here.run("compare", str(here.copy), "--by", "temperature", "--json").out
    assert again.out != compared.out
    none = there.run("check", run_of(store.replace("results", "none")), "--max-error-share", "0")
    assert none.code == errors.EXIT_CONFIG
    assert "no run at" in none.err


def test_killed_it_goes_on_here_and_nowhere_else(
    here: Machine, there: Machine, emulator: Emulator, store: str, expected: Any
) -> None:
    """P1-P4 with a store: what the journal holds is not bought again by anybody."""
    begin, arguments = len(emulator.ledger()), command(emulator, store)
    for _ in range(2):
        running = here.start(*arguments, seal_trials=16, quiet=True)
        emulator.wait_until_served(emulator.served() + 36, by=running)
        running.signal(signal.SIGKILL)
        running.wait()
    refused = there.run(*arguments, quiet=True)
    assert refused.code == errors.EXIT_IN_USE, refused.err
    assert "takeover=" in refused.err
    assert there.run("verify", run_of(store)).code == 0  # what is sealed can be read anywhere
    done = here.run(*arguments, seal_trials=16, quiet=True)
    assert done.code == 0, done.err
    final_state_is_sound(here.copy, expected=expected, planned=PLANNED)
    nothing_bought_twice_unsaid(emulator.ledger()[begin:], here.copy)
    assert there.run("verify", run_of(store)).code == 0
    assert said(there.copy) == said(here.copy)


def test_a_lost_machine_is_taken_over_and_stays_out(
    here: Machine, there: Machine, emulator: Emulator, store: str, expected: Any
) -> None:
    """Its journal is said to be lost; the old machine may not go on beside the new one."""
    arguments = command(emulator, store)
    running = here.start(*arguments, seal_trials=16, quiet=True)
    emulator.wait_until_served(emulator.served() + 40, by=running)
    running.signal(signal.SIGKILL)
    running.wait()
    refused = there.run(*arguments, quiet=True)
    name = re.search(r"takeover=(\w+)", refused.err)
    assert name is not None, refused.err
    done = there.run(*arguments, name[0], quiet=True)
    assert done.code == 0, done.err
    final_state_is_sound(there.copy, expected=expected, planned=PLANNED)
    notes = " ".join(package.load(there.copy).manifest.notes)
    assert "whose journal is lost" in notes
    assert "counts towards no limit" in notes
    late = here.run(*arguments, quiet=True)
    assert late.code == errors.EXIT_STORAGE
    assert "journal in" in late.err
    assert ".old" in late.err


def test_whoever_was_taken_over_while_it_ran_stops(
    here: Machine, there: Machine, emulate: Any, store: str
) -> None:
    with emulate("--ttft-ms", "400") as slow:
        arguments = command(slow, store)
        running = here.start(*arguments, seal_trials=8, quiet=True)
        slow.wait_until_served(12)
        name = re.search(r"takeover=(\w+)", there.run(*arguments, quiet=True).err)
        assert name is not None
        assert there.run(*arguments, name[0], "dataset.limit=1", quiet=True).code == 0
        done = running.wait()
    assert done.code == errors.EXIT_STORAGE
    assert "taken over" in done.err


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
    monkeypatch.setattr(sync, "_SETTLE_S", 0.0)
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
    assert report.sound, report.findings
    assert report.records == 20
    assert b'"open":false' in (tmp_path / "shared" / "r" / "owner.json").read_bytes()


async def test_a_manifest_that_was_not_uploaded_keeps_the_run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part is there and the journal is empty; what the store says of the run is old."""
    monkeypatch.setattr(sync, "_SETTLE_S", 0.0)
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    owner = tmp_path / "shared" / "r" / "owner.json"
    one = filled(root, range(20))
    await one.seal()
    put = Remote.put

    def refused(self: Remote, name: str, path: Path) -> str:
        if name == "run.json":
            raise errors.StorageError("refused, this once")
        return put(self, name, path)

    with monkeypatch.context() as once:
        once.setattr(Remote, "put", refused)
        with pytest.raises(errors.StorageError, match="this once"):
            await one.finish(status="complete", reason=None)
    assert b'"open":true' in owner.read_bytes()
    again = filled(root, range(0))
    await again.finish(status="complete", reason=None)
    assert b'"open":false' in owner.read_bytes()
    RunStore(root, code_version="0").close()  # ends before anything is written
    assert b'"open":false' in owner.read_bytes()
    assert verify_folder(tmp_path / "shared" / "r").sound


async def test_a_machine_lost_while_errors_were_reopened_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is there as it is now, and the manifest as it was: either content is whole."""
    monkeypatch.setattr(sync, "_SETTLE_S", 0.0)
    url = f"file://{tmp_path}/shared"
    here = results_root(url, str(tmp_path / "here")) / "r"
    one = filled(here, range(18))
    for number in (18, 19):
        one.append(intent(number))
        one.append(structs.replace(result(number, final=False), final=True))
    await one.finish(status="complete", reason=None)
    again = filled(here, range(0))

    def killed(self: sync.Mirror, name: str) -> None:
        if name == "run.json" and '"rewriting": []' in (here / name).read_text():
            raise KeyboardInterrupt
        put(self, name)

    put = sync.Mirror._put_if_changed
    with monkeypatch.context() as patch:
        patch.setattr(sync.Mirror, "_put_if_changed", killed)
        with pytest.raises(KeyboardInterrupt):
            again.reopen_errors(prompts=[prompt(n) for n in range(20)], repeats=1)
    again.close()
    monkeypatch.setenv(STAGING, str(tmp_path / "reader"))
    assert verify_folder(fetched(f"{url}/r")).records == 18
    owner = json.loads((tmp_path / "shared" / "r" / "owner.json").read_bytes())
    assert owner["open"]
    there = results_root(url, str(tmp_path / "there")) / "r"
    lock = hold(SimpleNamespace(
        results_dir=url, staging_dir=str(tmp_path / "there"), name="r", takeover=owner["copy"]
    ))  # fmt: skip
    last = RunStore(there, code_version="0", lock=lock)
    assert "without a record (up to 2)" in " ".join(last.folder.manifest.notes)
    assert last.folder.manifest.recorded == 18
    last.start()
    await last.finish(status="interrupted", reason=None)
    assert verify_folder(there).sound
    assert verify_folder(fetched(f"{url}/r")).records == 18


async def test_journals_on_workers_disks_keep_the_run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_SETTLE_S", 0.0)
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    one = filled(root, range(5))
    ledger = leases.Leases(root / "journal", "plan")
    ledger.begin("worker-0001", leases.Where("node", "folder"))
    await one.finish(status="stopped", reason=None)
    owner = tmp_path / "shared" / "r" / "owner.json"
    assert b'"open":true' in owner.read_bytes()
    ledger.over("worker-0001")
    await filled(root, range(0)).finish(status="stopped", reason=None)
    assert b'"open":false' in owner.read_bytes()


async def test_a_second_reader_waits_for_the_first_one_s_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_SETTLE_S", 0.0)
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
        second = pool.submit(fetched, f"{url}/r")
        assert turned_away.wait(60)
        assert not second.done()
        os.close(first)
        assert verify_folder(second.result()).records == 20


def test_a_shared_path_that_refuses_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a store over the network is."""
    in_the_way = tmp_path / "shared" / ".x.tmp"  # where the file is written aside
    in_the_way.mkdir(parents=True)
    waits: list[float] = []

    def gone_the_third_time(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 3:
            in_the_way.rmdir()

    there = Remote(f"file://{tmp_path}/shared")
    there.patient = False
    with pytest.raises(errors.StorageError, match="/shared/x"):
        there.write("x", b"content")
    monkeypatch.setattr(object_store.time, "sleep", gone_the_third_time)
    there.patient = True
    there.write("x", b"content")
    assert waits == [0.5, 1.0, 2.0]
    assert there.read("x") == b"content"


async def test_what_does_not_read_back_is_not_taken_for_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_SETTLE_S", 0.0)
    root = results_root(f"file://{tmp_path}/shared", str(tmp_path / "copies")) / "r"
    one = filled(root, range(5))
    chunks = Remote._chunks
    monkeypatch.setattr(
        Remote, "_chunks",
        lambda self, name: (c[::-1] if name.startswith("records/") else c for c in chunks(self, name)),
    )  # fmt: skip
    with pytest.raises(errors.StorageError, match="does not read back"):
        await one.finish(status="complete", reason=None)
    monkeypatch.undo()
    assert "records/part-000001.parquet" not in (root / ".uploaded").read_text()
    assert verify_folder(root).sealing == 2


@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_file_that_cannot_be_read_to_its_end_leaves_nothing_there(store: str, good: int) -> None:
    """Half a part under the part's name would pass for one."""

    def chunks() -> Iterator[bytes]:
        for _ in range(good):
            yield b"chunk"
        raise OSError(5, "Input/output error")

    there = Remote(run_of(store))
    fs, root = there._fs()
    with pytest.raises((OSError, errors.StorageError), match="Input/output"):
        there._store(fs, f"{root}/records/part-000001.parquet", chunks())
    assert there.names() == []


def test_a_part_that_is_gone_here_comes_back_and_a_damaged_one_is_said(
    here: Machine, there: Machine, emulator: Emulator, store: str, tmp_path: Path
) -> None:
    assert here.run(*command(emulator, store), quiet=True).code == 0
    part = here.copy / "records" / "part-000001.parquet"
    content = part.read_bytes()
    part.unlink()
    assert "nothing to send" in here.run(*command(emulator, store), quiet=True).err
    assert part.read_bytes() == content
    Remote(run_of(store)).write("records/part-000001.parquet", content[:-1] + b"?")
    damaged = there.run("verify", run_of(store))
    assert damaged.code == errors.EXIT_STORAGE
    assert "records/part-000001.parquet is not what was sealed" in damaged.err


def test_a_key_in_the_url_is_refused_and_not_repeated(
    here: Machine, emulator: Emulator, tmp_path: Path
) -> None:
    """P17: exit 2, and the key is nowhere."""
    for verb in (
        command(emulator, "s3://AKIAX:hushhush@bucket/x"),
        command(emulator, "s3://AKIAX:hush/hushhush@bucket/x"),
        ("report", "s3://AKIAX:hushhush@b/r"),
        ("report", "s3://b/r?secret_key=hushhush"),
    ):
        done = here.run(*verb)
        assert done.code == errors.EXIT_CONFIG
        assert "AWS_ACCESS_KEY_ID" in done.err
        assert "hushhush" not in done.err + done.out
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hushhush" not in path.read_bytes()


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAX:hush/hush@bucket/x",
        "s3://AKIAX:hush/hush%40bucket/x",
        "s3://AKIAX%3Ahush%2Fhush%40bucket/x",
        "s3://AKIAX:hush",
        "s3://AKIAX:hush/x",
        "s3://bucket/x?endpoint_override=http://AKIAX:hush@host",
        "s3://bucket/x?endpoint_override=http%3A%2F%2FAKIAX%3Ahush%40host",
        "s3://bucket/x?secret_key=hush",
        "s3://bucket/x?region=eu-west-1&access_key=hush",
        "s3://AKIAX#hush",
        "s3://[AKIAX:hush/x",
        "s3://AKIAX:hush\u2100@b/x",
        "gs://AKIAX:hush/hush@bucket/x",
        "file://AKIAX:hush@host/x",
        "file:///x?secret_key=hush",
    ],
)
def test_a_key_is_found_anywhere_in_a_url(url: str) -> None:
    with pytest.raises(errors.ConfigError) as refused:
        object_store.check_url(url)
    assert "hush" not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://my.bucket-1/a b/c=1?endpoint_override=http://127.0.0.1:9000&scheme=http",
        "s3://bucket/x?region=eu-west-1&tls_ca_file_path=/etc/ca.pem",
        "file:///me@work/results",
    ],
)
def test_a_url_without_a_key_is_taken(url: str) -> None:
    assert object_store.check_url(url).geturl() == url


@pytest.mark.parametrize(
    ("url", "words"),
    [("ftp://host/x", "s3://"), ("s3:///x", "bucket"), ("file://host/x", "three slashes")],
)
def test_other_places_are_refused(here: Machine, emulator: Emulator, url: str, words: str) -> None:
    done = here.run(*command(emulator, url))
    assert done.code == errors.EXIT_CONFIG
    assert words in done.err


def test_a_judging_goes_with_its_run(
    here: Machine, there: Machine, emulator: Emulator, store: str
) -> None:
    """`judge URL` records into the store as well; the other machine's report has it."""
    assert here.run(*command(emulator, store), quiet=True).code == 0
    judged = here.run(
        "judge",
        run_of(store),
        "--name",
        "j",
        "--yes",
        "provider=openai_compatible",
        f"provider.base_url={emulator.base_url}",
        "provider.model=m",
        "params.max_tokens=8",
    )
    assert judged.code in (0, 1), judged.err
    assert there.run("verify", run_of(store)).code == 0
    assert (there.copy / "judge" / "j" / "run.json").is_file()
    assert verify_folder(there.copy / "judge" / "j").sound
