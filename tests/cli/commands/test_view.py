"""`evalharness view`: a server from the command line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Command
from tests.imported_run import write_run


def _start(work: Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its link."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evalharness", "view", "--port", "0"],
        cwd=work, env={**os.environ, **environment}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_prints_a_link_and_ends_with_ctrl_c(work: Path, number: signal.Signals) -> None:
    """The link is the only line on stdout; a signal is how it is meant to end."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, and so by what is started")
    write_run([{"prompt_id": "p", "text": "yes"}], "r")
    process, link = _start(work)
    assert link.startswith("http://127.0.0.1:")
    assert httpx.get(f"{link}run/r").status_code == 200
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in errors


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_no_argument_of_a_process_has_the_token(work: Path, ending: signal.Signals) -> None:
    """The browser gets a file that only this user can read, and that goes with the server."""
    write_run([{"prompt_id": "p", "text": "yes"}], "r")
    browser, told = work / "browser", work / "told"
    os.mkfifo(told)
    browser.write_text('#!/bin/sh\necho "$@" > told; exec tail -f /dev/null\n')
    browser.chmod(0o700)
    with subprocess.Popen(
        [sys.executable, "-m", "evalharness", "view", "--port", "0", "--host", "0.0.0.0", "--open"],
        cwd=work, env={**os.environ, "BROWSER": f"{browser} %s", "TMPDIR": str(work)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            link = process.stdout.readline().strip()
            [argument] = told.read_text().split()
            assert argument.startswith("file://")
            file = Path(argument.removeprefix("file://"))
            assert link in file.read_text()
            assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]
            # The browser still runs, and the pages are there.
            address = re.sub("//[^:/]+:", "//127.0.0.1:", link)
            assert httpx.get(address).status_code == 303
            process.send_signal(ending)
            process.wait(60)
            assert not file.parent.exists()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_start_removes_what_a_killed_process_left(work: Path) -> None:
    """Its folder, and neither that of a process that lives nor one that is no folder of ours."""
    pytest.importorskip("duckdb", reason="the extra `view` is not installed")
    write_run([{"prompt_id": "p", "text": "yes"}], "r")
    temporary = work / "temporary"
    temporary.mkdir()
    (temporary / "evalharness-view-mine").mkdir()  # of somebody else's making: it has no lock
    (temporary / "evalharness-view-link").symlink_to(work / "results")
    others = set(temporary.iterdir())

    def folder_of(link: str, before: set[Path]) -> Path:
        assert httpx.get(f"{link}run/r/records?wait=1", timeout=120).status_code == 200
        (made,) = set(temporary.iterdir()) - before
        assert (made / "records.duckdb").exists()
        return made

    living, link = _start(work, TMPDIR=str(temporary))
    kept = folder_of(link, others)
    killed, link = _start(work, TMPDIR=str(temporary))
    left = folder_of(link, {*others, kept})
    killed.kill()
    killed.communicate(timeout=60)
    assert left.exists()
    third, link = _start(work, TMPDIR=str(temporary))
    deadline = time.monotonic() + 60
    while left.exists():
        assert time.monotonic() < deadline
    assert set(temporary.iterdir()) == {*others, kept}
    assert (work / "results" / "r" / "run.json").exists()
    for process in (living, third):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert set(temporary.iterdir()) == others


def test_130_before_the_pages_are_there(work: Path) -> None:
    """Ctrl-C while the server is imported: nothing was recorded, and nothing is to go on."""
    Path("results").mkdir()
    script = (
        "import builtins, runpy, signal, sys\n"
        "original = builtins.__import__\n"
        "def importing(name, *rest, **named):\n"
        "    if name == 'uvicorn':\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return original(name, *rest, **named)\n"
        "builtins.__import__ = importing\n"
        "sys.argv = ['evalharness', 'view', '--port', '0']\n"
        "runpy.run_module('evalharness', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=work, capture_output=True, text=True, check=False
    )
    said = "evalharness: interrupted before the pages were there\n"
    assert (done.returncode, done.stderr, done.stdout) == (130, said, "")


def test_what_cannot_be_served_is_said(evalharness: Command) -> None:
    """A place without runs, a port that is none, an address that is not ours."""
    for arguments, words in (
        (("nowhere",), "neither a run nor a folder"),
        (("--port", "70000"), "a port is 0 to 65535"),
        (("--port", "-1"), "a port is 0 to 65535"),
        (("--host", ""), "--host is empty"),
        (("--host", "ä" * 80), "nothing can listen on"),
        (("--host", "192.0.2.1", "--port", "0"), "nothing can listen on 192.0.2.1"),
    ):
        done = evalharness("view", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
