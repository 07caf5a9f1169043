"""A child that answers requests is killed when it is late, and says how it ended."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalharness.process.bounded_child import BoundedChild, ChildEndedError, ChildLateError
from tests.process.child_checks import has_ended, linux_only

HELPER = """
import os, signal
from evalharness.process.bounded_child import ChildEnd

def main(requests, replies):
    end = ChildEnd(requests, replies)
    while (request := end.receive()) is not None:
        print("not a reply")
        if request == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if request == b"hang":
            signal.pause()
        if request == b"key":
            request = os.environ.get("SOME_API_KEY", "none").encode()
        end.send(request)
        if request != b"once":
            end.send(request)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BoundedChild]:
    """A started child that answers each request twice, with the request."""
    (tmp_path / "bounded_helper.py").write_text(HELPER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SOME_API_KEY", "secret")
    child = BoundedChild("bounded_helper")
    yield child
    child.close()


def test_large_requests_and_replies(child: BoundedChild) -> None:
    """Both may be far larger than a pipe, and what the child prints is not among the replies."""
    for request in (b"x" * 3_000_000, b""):
        child.send(request, 60)
        assert child.receive(60) == request
        assert child.receive(60) == request
    child.send(b"key", 60)
    assert child.receive(60) == b"none"


def test_a_late_child_is_killed(child: BoundedChild) -> None:
    """It ends, and what was not read goes with it."""
    child.send(b"hang", 60)
    with pytest.raises(ChildLateError):
        child.receive(0.01)
    assert has_ended(child.pid)
    assert not child.is_usable()


def test_a_reply_that_waits_is_taken_however_late_it_is(child: BoundedChild) -> None:
    """After this process was stopped, no time is left and the reply is in the pipe."""
    child.send(b"once", 60)
    select.select([child._replies], [], [])  # pyright: ignore[reportPrivateUsage]
    assert child.receive(0) == b"once"


def test_a_child_that_ends_says_how(child: BoundedChild) -> None:
    """By the signal, also to a request that comes after it."""
    child.send(b"crash", 60)
    with pytest.raises(ChildEndedError, match="SIGSEGV"):
        child.receive(60)


@linux_only
def test_a_busy_child_ends_with_its_parent(tmp_path: Path) -> None:
    """The kernel ends it, since it does not read while it works."""
    (tmp_path / "bounded_helper.py").write_text(HELPER)
    parent = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from evalharness.process.bounded_child import BoundedChild\n"
        "child = BoundedChild('bounded_helper')\n"
        "child.send(b'x', 60); child.receive(60)\n"
        "child.send(b'hang', 60)\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent, str(tmp_path)], capture_output=True, check=False
    )
    assert has_ended(int(done.stdout))
