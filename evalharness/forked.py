"""Work in a second process that begins as a copy of this one and sends back what it found.

For work that keeps the interpreter busy: two threads would take turns. The copy shares all memory
with this process until one of the two writes to it, so nothing has to be handed over. Linux only;
elsewhere libraries of the system do not survive the copying, and the work is done here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from evalharness.cores import cores
from evalharness.errors import EvalharnessError

_R = TypeVar("_R")

_PIPE_BYTES = 2**20  # so that this process seldom waits for the other one to read
_ENDS: set[Connection] = set()  # this process's, of all living copies


def can_fork() -> bool:
    """Whether a second process is possible here, and has a core to run on."""
    among_others = multiprocessing.current_process().daemon  # those may have no children
    return sys.platform == "linux" and cores() > 1 and not among_others


class Later(Generic[_R]):
    """Work that is done in this process when its result is asked for."""

    def __init__(self, work: Callable[[], _R]) -> None:
        self._work = work

    def __enter__(self) -> Later[_R]:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def result(self) -> _R:
        """What the work comes to."""
        return self._work()


class Forked(Generic[_R]):
    """A copy of this process that does one thing. Use as a context manager: leaving it ends it.

    Args:
        work: called in the copy with an iterator of the messages sent to it, as they come, until
            :meth:`result` is called; what it returns or raises is pickled.
        name: what the copy does, for errors: ``judging outputs``.
    """

    def __init__(self, work: Callable[[Iterator[Any]], _R], name: str) -> None:
        context = multiprocessing.get_context("fork")
        theirs, self._to = context.Pipe(duplex=False)
        self._from, answers = context.Pipe(duplex=False)
        _widen(self._to)
        self._name = name
        _ENDS.update((self._to, self._from))
        self._process = context.Process(
            target=self._run, args=(work, theirs, answers), name=name, daemon=True
        )
        self._process.start()
        theirs.close()
        answers.close()

    def __enter__(self) -> Forked[_R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: Any) -> None:
        """Give the copy something to work on; waits while it has a megabyte before it.

        Raises:
            EvalharnessError: the copy was killed.
            Exception: what the work raised.
        """
        try:
            self._to.send((message,))
        except BrokenPipeError:
            self.result()
            raise

    def result(self) -> _R:
        """What the work comes to, once everything sent is worked off.

        Raises:
            EvalharnessError: the copy was killed.
            Exception: what the work raised.
        """
        with contextlib.suppress(BrokenPipeError):
            self._to.send(None)
        try:
            found, raised = self._from.recv()
        except EOFError:
            self._process.join()
            raise EvalharnessError(
                f"the process for {self._name} was lost ({_why(self._process.exitcode)})",
                hint="nothing of the run is; with memory to spare the same command works",
            ) from None
        finally:
            self.close()
        if raised is not None:
            raise raised
        return found

    def close(self) -> None:
        """End the copy, whatever it is doing; nothing happens when it has ended."""
        for end in (self._to, self._from):
            _ENDS.discard(end)
            end.close()
        self._process.kill()
        self._process.join()

    def _run(
        self, work: Callable[[Iterator[Any]], _R], messages: Connection, answers: Connection
    ) -> None:
        """In the copy: work, and answer."""
        # The process that is waited for decides what an interrupt means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for end in _ENDS:  # else the pipes would stay open when their owner is gone
            end.close()
        _ENDS.clear()
        with contextlib.suppress(BrokenPipeError, EOFError):  # nobody waits any more
            try:
                answer = work(_received(messages)), None
            except (BrokenPipeError, EOFError):
                raise
            except Exception as error:  # raised where the result is asked for
                answer = None, error
            answers.send(answer)


def begun(work: Callable[[], _R], name: str, *, forked: bool) -> Forked[_R] | Later[_R]:
    """Begin work that needs no messages: in a copy of this process, or here and later.

    Raises:
        OSError: the system makes no further process.
    """
    return Forked(lambda messages: work(), name) if forked else Later(work)


def _received(messages: Connection) -> Iterator[Any]:
    while (message := messages.recv()) is not None:
        yield message[0]


def _widen(pipe: Connection) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # a limit of the system; the pipe is as wide as it was
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _why(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
