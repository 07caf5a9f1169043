"""P1 as the kernel sees it: what is synced before what, in the trace of a real run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import evalharness
from tests.durability.processes import Emulator

TRACED = (
    "write,pwrite64,writev,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2"
)  # fmt: skip
PLAN = (
    "dataset.limit=2", "sweep.seed=[1,2]", "sweep.temperature=null", "repeats=2",
    "params.max_tokens=4", "limits.concurrency=2",
)  # fmt: skip
PLANNED = 8


class Call(NamedTuple):
    """A system call: the lines of the trace at which it began and returned, and its text."""

    began: int
    ended: int
    name: str
    text: str


def calls(trace: Path) -> list[Call]:
    """The calls of a trace, also those that another thread's interrupted."""
    begun: dict[str, tuple[int, str, str]] = {}
    found: list[Call] = []
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        match = re.match(r"(\d+) +(?:<\.\.\. (\w+) resumed>)?(?:(\w+)\()?(.*)", line)
        if match is None:
            continue
        pid, resumed, name, text = match.groups()
        if resumed and pid in begun:
            began, name, text = begun.pop(pid)
            found.append(Call(began, number, name, text))
        elif name and text.endswith("<unfinished ...>"):
            begun[pid] = number, name, text
        elif name:
            found.append(Call(number, number, name, text))
    return sorted(found)


@pytest.fixture
def traced(emulator: Emulator, tmp_path: Path) -> list[Call]:
    """A small run under strace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    options = ["-f", "-y", "-s", "20000", "-e", f"trace={TRACED}"]
    refused = subprocess.run(
        [strace, *options, "true"], capture_output=True, text=True, check=False
    )
    if refused.returncode:
        pytest.skip(f"tracing is not allowed here: {refused.stderr.strip()[:200]}")
    trace = tmp_path / "trace"
    command = [sys.executable, "-m", "evalharness", "run", "name=r", *emulator.provider, *PLAN]
    subprocess.run([strace, *options, "-o", str(trace), *command], cwd=tmp_path, check=True)
    return calls(trace)


def of_file(traced: list[Call], names: tuple[str, ...], ending: str) -> Iterator[Call]:
    """Calls on a file whose path ends so (strace shows it as ``fd<path>``)."""
    return (c for c in traced if c.name in names and re.match(rf"\d+<[^>]*{ending}>", c.text))


def first(found: Iterator[Call], *, after: int = -1) -> Call:
    """The first of some calls that began after a line."""
    call = next((c for c in found if c.began > after), None)
    assert call is not None, "no such call in the trace"
    return call


def test_synced_before_sent_and_synced_before_named(traced: list[Call], tmp_path: Path) -> None:
    """P1: intent synced → request sent; answer synced → part synced → named → folder synced → listed."""
    syncs, writes = ("fsync", "fdatasync"), ("write", "pwrite64", "writev", "pwritev")
    sends = [c for c in traced if re.match(r"\d+<(socket|TCP)", c.text)]
    journal = list(of_file(traced, writes, "journal.sqlite-wal"))
    synced = list(of_file(traced, syncs, "journal.sqlite-wal"))
    records = evalharness.load(tmp_path / "results" / "r").records()
    assert len(records) == PLANNED
    renames = [c for c in traced if c.name.startswith("rename")]
    targets = ("records/part-000001.parquet", "attempts/part-000001.parquet")
    named = {to: first(c for c in renames if f'/{to}"' in c.text) for to in targets}
    for request, response in zip(records["client_request_id"], records["response_id"], strict=True):
        intended = first(c for c in journal if request in c.text)
        sent = first(c for c in sends if request in c.text)
        assert first(iter(synced), after=intended.ended).ended < sent.began
        answered = first(c for c in journal if response in c.text)
        assert answered.began > sent.began
        part = named["records/part-000001.parquet"]
        assert first(iter(synced), after=answered.ended).ended < part.began
    for target, renamed in named.items():
        folder, _, name = target.partition("/")
        aside = first(of_file(traced, syncs, rf"{folder}/\.{re.escape(name)}\.tmp"))
        assert aside.ended < renamed.began
        written = list(of_file(traced, writes, rf"{folder}/\.{re.escape(name)}\.tmp"))
        assert written
        assert max(c.ended for c in written) < aside.began
        in_folder = first(of_file(traced, syncs, f"results/r/{folder}"), after=renamed.ended)
        listed = first((c for c in renames if 'run.json"' in c.text), after=renamed.ended)
        assert in_folder.ended < listed.began
