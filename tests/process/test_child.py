"""A child process is ready, serves, and ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.errors import ProviderError
from evalharness.process import child as child_module
from evalharness.process.child import child_server
from tests.process.child_checks import MessageLog, has_ended, linux_only

SERVE = """
import json, os, sys, threading
from evalharness.process.child import exit_with_parent
exit_with_parent()
print("not a ready line")
print(json.dumps({"ready": False}))
ready = {"ready": True, "base_url": "http://127.0.0.1:1/v1", "args": sys.argv[1:]}
print(json.dumps(ready), flush=True)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a module that ``python -m helper`` finds."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def module(text: str) -> str:
        (folder / "helper.py").write_text(text)
        return "helper"

    return module


async def test_a_child_is_ready_serves_and_is_gone_after_the_block(write, log: MessageLog) -> None:
    """The ready line is handed over, other lines are skipped, and nothing is left behind."""
    module = write(SERVE + "threading.Event().wait()")
    async with child_server(module, ["--port", "0"], what="the helper", say=log) as child:
        assert child.ready_message["base_url"] == "http://127.0.0.1:1/v1"
        assert child.ready_message["args"] == ["--port", "0"]
        os.kill(child.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    assert log == []


async def test_the_block_ends_the_child_also_when_it_raises(write, log: MessageLog) -> None:
    """An error inside the block does not leave the child running."""
    module = write(SERVE + "threading.Event().wait()")
    with pytest.raises(ZeroDivisionError):
        async with child_server(module, what="the helper", say=log) as child:
            _ = 1 / 0
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_a_child_that_will_not_leave_is_killed(
    write, log: MessageLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the end of its input nor SIGTERM is needed for it to end."""
    monkeypatch.setattr(child_module, "GRACE_S", 0.1)
    module = write(
        "import signal, threading\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('{\"ready\": true}', flush=True)\nthreading.Event().wait()"
    )
    async with child_server(module, what="the helper", say=log) as child:
        pass
    assert await child.wait() == "killed by SIGKILL"


async def test_a_child_that_cannot_start_says_why(write, log: MessageLog) -> None:
    """The error has the exit status and the last lines, made harmless for a terminal."""
    module = write("import sys\nsys.exit('no such \\x1b[31mmodel')")
    with pytest.raises(ProviderError) as caught:
        async with child_server(module, what="the helper", say=log):
            pass
    assert (
        caught.value.message == "the helper could not start: exit status 1\n  | no such  [31mmodel"
    )
    assert caught.value.exit_code == 2


async def test_a_child_that_is_never_ready_is_given_up_and_ended(
    write, log: MessageLog, tmp_path: Path
) -> None:
    """The deadline ends the waiting and the child."""
    pid = tmp_path / "pid"
    module = write(
        "import os, pathlib, sys, threading\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        "from evalharness.process.child import exit_with_parent\nexit_with_parent()\n"
        "threading.Event().wait()"
    )
    with pytest.raises(ProviderError, match="the helper was not ready after 3 s"):
        async with child_server(module, what="the helper", say=log, deadline_s=3.0):
            pass
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_child_that_ends_by_itself_is_reported(write) -> None:
    """People are told how it ended and with which last words, while the block still runs."""
    import asyncio

    told = asyncio.Event()
    log: list[str] = []

    def say(text: str) -> None:
        log.append(text)
        told.set()

    module = write(SERVE + "sys.stderr.write('out of memory\\n'); sys.stderr.flush(); os.abort()")
    async with child_server(module, what="the helper", say=say):
        await asyncio.wait_for(told.wait(), 30)
    assert log == ["the helper ended by itself: killed by SIGABRT\n  | out of memory"]


async def test_a_noisy_child_is_neither_blocked_nor_kept_whole(write, log: MessageLog) -> None:
    """Output without end is read on in bounded memory; only the last lines are kept."""
    module = write(
        SERVE + "sys.stderr.write('x' * 5_000_000 + '\\n')\n"
        "for i in range(1000): sys.stderr.write(f'line {i} ' + 'y' * 900 + '\\n')\n"
        "sys.stdout.write('z' * 5_000_000)\nsys.stdout.flush()\nsys.stderr.flush()\nsys.exit(3)"
    )
    async with child_server(module, what="the helper", say=log) as child:
        assert await child.wait() == "exit status 3"
    assert len(child.stderr_tail) == child_module.STDERR_LINES
    assert child.stderr_tail[-1].startswith("line 999 ")
    assert max(map(len, child.stderr_tail)) <= 500


async def test_ctrl_c_in_the_terminal_does_not_reach_the_child(write, log: MessageLog) -> None:
    """The child is in another process group and session than the run."""
    module = write(SERVE + "threading.Event().wait()")
    async with child_server(module, what="the helper", say=log) as child:
        assert os.getpgid(child.pid) != os.getpgrp()
        assert os.getsid(child.pid) == child.pid


async def test_a_file_in_the_users_folder_is_not_taken_for_a_module(
    write, log: MessageLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child starts in any folder, whatever lies in it."""
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    module = write(SERVE + "threading.Event().wait()")
    async with child_server(module, what="the helper", say=log) as child:
        assert child.ready_message["ready"] is True


PARENT = """
import asyncio, sys
from evalharness.process.child import child_server
async def main():
    async with child_server("helper", what="the helper", say=print) as child:
        print(child.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@linux_only
@pytest.mark.parametrize("busy", [False, True])
def test_kill_9_of_the_parent_ends_the_child(write, busy: bool) -> None:
    """A child cannot outlive its parent, not even one that holds the interpreter in native code."""
    # A backtracking match never lets go of the interpreter, so the input is never read.
    tail = "import re; re.match('(a+)+$', 'a' * 60 + 'b')" if busy else "threading.Event().wait()"
    write(SERVE + tail)
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert has_ended(pid)


def test_the_end_of_input_alone_ends_a_child(write) -> None:
    """Where the kernel does not help (not Linux), the closed pipe is enough."""
    module = write(SERVE + "threading.Event().wait()")
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while b'"ready": true' not in child.stdout.readline():
            pass
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(30) == 0
