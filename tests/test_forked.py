"""A copy of the process works on what it is sent, says what it found, and outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from evalharness import forked
from evalharness.errors import ConfigError, EvalharnessError
from evalharness.forked import Forked, begun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")


def test_messages_come_in_order_and_the_result_comes_back() -> None:
    """More is sent than a pipe holds, and the answer is larger than one, too."""
    large = [bytes([n]) * 300_000 for n in range(9)]
    with Forked(list, "collecting") as copy:
        for message in large:
            copy.send(message)
        copy.send(None)
        assert copy.result() == [*large, None]


def test_it_is_another_process_with_the_memory_of_this_one() -> None:
    """What this process had is there; what the copy does to it stays in the copy."""
    seen = ["before"]

    def work(messages: Iterator[Any]) -> tuple[int, list[str]]:
        seen.extend(messages)
        return os.getpid(), seen

    with Forked(work, "looking") as copy:
        copy.send("sent")
        pid, there = copy.result()
    assert pid != os.getpid()
    assert (there, seen) == (["before", "sent"], ["before"])


def test_errors_are_raised_where_the_result_is_wanted() -> None:
    """With their hint; also while there is more to send."""

    def work(messages: Iterator[Any]) -> None:
        next(messages)
        raise ConfigError("nothing there", hint="put it there")

    for wanting in (
        lambda copy: copy.result(),
        lambda copy: [copy.send("x") for _ in iter(int, 1)],
    ):
        with Forked(work, "failing") as copy:
            copy.send(1)
            with pytest.raises(ConfigError) as caught:
                wanting(copy)
        assert (caught.value.message, caught.value.hint) == ("nothing there", "put it there")


def test_a_killed_copy_is_an_error_that_says_so() -> None:
    """As when the system has no memory left."""

    def work(messages: Iterator[Any]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        Forked(work, "judging outputs") as copy,
        pytest.raises(EvalharnessError, match=r"process for judging outputs was lost \(SIGKILL\)"),
    ):
        copy.result()


def test_an_interrupt_is_for_the_one_who_waits() -> None:
    """The copy goes on: whoever started it ends it, if at all."""

    def work(messages: Iterator[Any]) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "done"

    with Forked(work, "going on") as copy:
        assert copy.result() == "done"


def test_leaving_early_ends_it() -> None:
    """It waits for a message that never comes."""
    with Forked(list, "waiting") as copy:
        process = copy._process
        assert process.is_alive()
    assert not process.is_alive()
    assert process.exitcode == -signal.SIGKILL


_ORPHANS = """
import os, signal
from evalharness.forked import Forked
first, second = Forked(list, "first"), Forked(list, "second")
first.send(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_copies_end_when_their_owner_is_killed() -> None:
    """Each sees that nobody will write any more, though there is another copy.

    Copies hold the owner's standard output: it ends when the last of them has ended.
    """
    owner = subprocess.Popen([sys.executable, "-c", _ORPHANS], stdout=subprocess.PIPE)
    output, _ = owner.communicate(timeout=60)
    assert output == b""
    assert owner.returncode == -signal.SIGKILL


def test_work_without_messages_is_done_here_or_there() -> None:
    """The same result; in this process only when it is asked for."""
    with begun(os.getpid, "asking", forked=True) as there:
        assert there.result() != os.getpid()
    asked: list[int] = []
    with begun(lambda: asked.append(1), "asking", forked=False) as here:
        assert asked == []
        here.result()
    assert asked == [1]


def test_copies_have_none_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And there are none where there is one core, or another system."""
    monkeypatch.setattr(forked, "cores", lambda: 2)
    assert forked.can_fork()
    with begun(forked.can_fork, "asking", forked=True) as copy:
        assert not copy.result()
    monkeypatch.setattr(forked, "cores", lambda: 1)
    assert not forked.can_fork()
    monkeypatch.setattr(forked, "cores", lambda: 2)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not forked.can_fork()
