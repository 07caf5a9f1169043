"""A copy of the process works on what it is sent, says what it found, and outlives nobody."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest

from evalharness.errors import ConfigError, ProcessLostError
from evalharness.process import fork
from evalharness.process.fork import ForkedTask, start_task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")


def test_messages_come_in_order_and_the_result_comes_back() -> None:
    """More is sent than a pipe holds, and the answer is larger than one, too."""
    large = [bytes([n]) * 300_000 for n in range(9)]
    with ForkedTask(list, "collecting") as copy:
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

    with ForkedTask(work, "looking") as copy:
        copy.send("sent")
        pid, there = copy.result()
    assert pid != os.getpid()
    assert (there, seen) == (["before", "sent"], ["before"])


def test_errors_are_raised_where_the_result_is_wanted() -> None:
    """With their hint and their place; also while there is more to send."""

    def work(messages: Iterator[Any]) -> None:
        next(messages)
        raise ConfigError("nothing there", hint="put it there")

    for wanting in (ForkedTask.result, lambda copy: [copy.send("x") for _ in iter(int, 1)]):
        with ForkedTask(work, "failing") as copy:
            copy.send(1)
            with pytest.raises(ConfigError) as caught:
                wanting(copy)
        assert (caught.value.message, caught.value.hint) == ("nothing there", "put it there")
        assert "in work" in caught.value.__notes__[0]


class TwoPartsError(Exception):
    """An error that its own arguments do not make again."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} in {where}")


@pytest.mark.parametrize(
    "error",
    [TwoPartsError("a", "b"), ValueError(lambda: 1), EOFError("its own"), BrokenPipeError()],
)
def test_every_error_comes_back(error: Exception) -> None:
    """As it is, or in its words where it cannot be sent."""

    def work(messages: Iterator[Any]) -> None:
        raise error

    with ForkedTask(work, "failing") as copy, pytest.raises((type(error), RuntimeError)) as caught:
        copy.result()
    assert type(error).__name__ in "".join(traceback.format_exception(caught.value))


def test_an_answer_that_comes_early_ends_the_sending() -> None:
    """It is more than a pipe holds, and so is what is sent: neither waits for the other."""

    def early(messages: Iterator[Any]) -> bytes:
        next(messages)
        return bytes(10**7)

    with ForkedTask(early, "answering") as copy, pytest.raises(BrokenPipeError):
        deque(map(copy.send, repeat(bytes(10**6), 30)))


@pytest.mark.parametrize("answered", [False, True])
def test_a_killed_copy_is_an_error_that_says_so(answered: bool) -> None:
    """As when the system has no memory left, also while the answer is on its way."""

    class Deadly:
        """Kills the process when it is half sent."""

        def __reduce__(self) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

    def work(messages: Iterator[Any]) -> Any:
        if not answered:
            os.kill(os.getpid(), signal.SIGKILL)
        return Deadly()

    with (
        ForkedTask(work, "judging outputs") as copy,
        pytest.raises(ProcessLostError, match="process for judging outputs was killed"),
    ):
        copy.result()


def test_half_an_answer_is_none() -> None:
    """The copy is killed while the pipe is full of the beginning."""
    with ForkedTask(lambda messages: bytes(10**7), "answering") as copy:
        copy._message_pipe.send(None)
        assert copy._answer_pipe.poll(60)  # it has begun
        copy._process.kill()
        copy._process.join()
        with pytest.raises(ProcessLostError, match="was killed"):
            copy.result()


def test_an_interrupt_is_for_the_one_who_waits() -> None:
    """The copy goes on: whoever started it ends it, if at all."""

    def work(messages: Iterator[Any]) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "done"

    with ForkedTask(work, "going on") as copy:
        assert copy.result() == "done"


def test_leaving_early_ends_it() -> None:
    """It waits for a message that never comes."""
    with ForkedTask(list, "waiting") as copy:
        process = copy._process
        assert process.is_alive()
    assert not process.is_alive()
    assert process.exitcode == -signal.SIGKILL


_ORPHANS = """
import os, signal
from evalharness.process.fork import ForkedTask
import time
first, second = ForkedTask(list, "first"), ForkedTask(list, "second")
third = ForkedTask(lambda messages: time.sleep(3600), "busy")
first.send(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_copies_end_when_their_owner_is_killed() -> None:
    """Also one that is busy.

    Copies hold the owner's standard output: it ends when the last of them has ended.
    """
    owner = subprocess.Popen([sys.executable, "-c", _ORPHANS], stdout=subprocess.PIPE)
    output, _ = owner.communicate(timeout=60)
    assert output == b""
    assert owner.returncode == -signal.SIGKILL


def test_work_without_messages_is_done_here_or_there() -> None:
    """The same result; in this process only when it is asked for."""
    with start_task(os.getpid, "asking", use_fork=True) as there:
        assert there.result() != os.getpid()
    asked: list[int] = []
    with start_task(lambda: asked.append(1), "asking", use_fork=False) as here:
        assert asked == []
        here.result()
    assert asked == [1]


def test_work_is_done_here_where_there_is_no_further_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no pipe is left to it."""

    def refused() -> int:
        raise OSError(errno.EAGAIN, "no process")

    monkeypatch.setattr(os, "fork", refused)
    with start_task(os.getpid, "asking", use_fork=True) as here:
        assert here.result() == os.getpid()
    assert not fork._PIPE_ENDS


def test_where_copies_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux, with a second core, in a process without other threads that is no copy itself."""

    def possible(threads: int = 1, cores: int = 2, system: str = "linux") -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(fork.threading, "active_count", lambda: threads)
            patch.setattr(fork, "available_cpus", lambda: cores)
            patch.setattr(sys, "platform", system)
            return fork.can_fork()

    assert possible()
    assert not possible(threads=2)
    assert not possible(cores=1)
    assert not possible(system="darwin")
    with start_task(possible, "asking", use_fork=True) as copy:
        assert not copy.result()
