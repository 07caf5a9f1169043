"""Runs of the command whose results root is a URL."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

import evalharness as package
from evalharness import errors
from evalharness.store.parts.verify import verify_folder
from evalharness.store.remote.object_store import RemoteFolder
from tests.durability.invariants import (
    final_state_is_sound,
    record_contents,
    requests_sent_twice_are_in_doubt,
)
from tests.durability.processes import Emulator, FinishedCommand, ForkServer
from tests.store.remote.s3 import keys

PLAN = (
    "dataset.limit=6", "sweep.seed=[1,2]", "sweep.temperature=[0,1]", "repeats=4", "scoring=none",
    "params.max_tokens=8", "limits.concurrency=6", "limits.in_doubt_retries=3",
)  # fmt: skip
PLANNED = 6 * 2 * 2 * 4


class Machine:
    """A machine of its own, as far as local copies go."""

    def __init__(self, fork_server: ForkServer, folder: Path) -> None:
        self._fork_server, self._folder = fork_server, folder
        folder.mkdir()
        self.environment = {mirror_name: str(folder / "copies") for mirror_name in [STAGING]}

    def start(self, *arguments: str, **options: Any) -> Any:
        return self._fork_server.start(
            self._folder, *arguments, **options, **self.environment, **keys()
        )

    def run(self, *arguments: str, **options: Any) -> FinishedCommand:
        return self.start(*arguments, **options).wait()

    @property
    def copy(self) -> Path:
        (found,) = self._folder.glob("copies/*/r")
        return found


STAGING = "EVALHARNESS_STAGING"


@pytest.fixture
def here(fork_server: ForkServer, tmp_path: Path) -> Machine:
    return Machine(fork_server, tmp_path / "here")


@pytest.fixture
def there(fork_server: ForkServer, tmp_path: Path) -> Machine:
    return Machine(fork_server, tmp_path / "there")


def run_of(store: str) -> str:
    base, _, query = store.partition("?")
    return f"{base}/r?{query}" if query else f"{base}/r"


def command(emulator: Emulator, store: str, *more: str) -> tuple[str, ...]:
    return ("run", "name=r", *emulator.provider, *PLAN, f"results_dir={store}", *more)


@pytest.fixture(scope="module")
def expected(
    fork_server: ForkServer, emulator: Emulator, tmp_path_factory: Any
) -> list[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("whole")
    done = fork_server.run(folder, "run", "name=whole", *emulator.provider, *PLAN, quiet=True)
    assert done.code == 0, done.err
    return record_contents(folder / "results" / "whole")


@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
def test_a_run_on_a_url_is_read_and_extended_from_another_machine(
    here: Machine, there: Machine, emulator: Emulator, store: str, expected: Any
) -> None:
    """Parts, manifest and report are in the store; nothing is asked twice anywhere."""
    begin = len(emulator.ledger())
    done = here.run(*command(emulator, store), seal_trials=16)
    assert done.code == 0, done.err
    assert f"evalharness report {run_of(store)}" in done.last_line.replace("'", "")
    names = RemoteFolder(run_of(store)).list_names()
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
    assert "claim_lost_copy=" in refused.err
    assert there.run("verify", run_of(store)).code == 0  # what is sealed can be read anywhere
    done = here.run(*arguments, seal_trials=16, quiet=True)
    assert done.code == 0, done.err
    final_state_is_sound(here.copy, expected=expected, planned=PLANNED)
    requests_sent_twice_are_in_doubt(emulator.ledger()[begin:], here.copy)
    assert there.run("verify", run_of(store)).code == 0
    assert record_contents(there.copy) == record_contents(here.copy)


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
    name = re.search(r"claim_lost_copy=(\w+)", refused.err)
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
        running.signal(signal.SIGSTOP)  # it does not end before it is taken over
        name = re.search(r"claim_lost_copy=(\w+)", there.run(*arguments, quiet=True).err)
        assert name is not None
        assert there.run(*arguments, name[0], "dataset.limit=1", quiet=True).code == 0
        running.signal(signal.SIGCONT)
        done = running.wait()
    assert done.code == errors.EXIT_STORAGE
    assert "taken over" in done.err


def test_a_part_that_is_gone_here_comes_back_and_a_damaged_one_is_said(
    here: Machine, there: Machine, emulator: Emulator, store: str, tmp_path: Path
) -> None:
    assert here.run(*command(emulator, store), quiet=True).code == 0
    part = here.copy / "records" / "part-000001.parquet"
    content = part.read_bytes()
    part.unlink()
    assert "nothing to send" in here.run(*command(emulator, store), quiet=True).err
    assert part.read_bytes() == content
    RemoteFolder(run_of(store)).write("records/part-000001.parquet", content[:-1] + b"?")
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
    assert verify_folder(there.copy / "judge" / "j").is_sound
