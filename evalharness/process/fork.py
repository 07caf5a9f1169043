"""Work in a second process that begins as a copy of this one and sends back what it found.

For work that keeps the interpreter busy: two threads would take turns. The copy shares all memory
with this process until one of the two writes to it, so nothing has to be handed over. Linux only;
elsewhere libraries of the system do not survive the copying, and the work is done here.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from evalharness.errors import ProcessLostError

_R = TypeVar("_R")

_PIPE_BYTES = 2**20  # so that this process seldom waits for the other one to read
_ENDS: set[Connection] = set()  # this process's, of all living copies
_PR_SET_PDEATHSIG = 1  # of prctl(2)


def can_fork() -> bool:
    """Whether a second process is possible here, and has a core to run on.

    There is none beside other threads, as in a notebook: a lock that one of them holds at that
    moment would never be free in the copy.
    """
    among_others = multiprocessing.current_process().daemon  # those may have no children
    alone = threading.active_count() == 1
    return sys.platform == "linux" and cores() > 1 and alone and not among_others


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

    Raises:
        OSError: the system makes no further process.
    """

    def __init__(self, work: Callable[[Iterator[Any]], _R], name: str) -> None:
        context = multiprocessing.get_context("fork")
        self._name = name
        theirs, self._to = context.Pipe(duplex=False)
        self._from, answers = context.Pipe(duplex=False)
        _widen(self._to)
        _ENDS.update((self._to, self._from))
        self._process = context.Process(
            target=self._run, args=(work, theirs, answers, os.getpid()), name=name, daemon=True
        )
        try:
            with warnings.catch_warnings():
                # From 3.12 on Python warns of threads: those of pyarrow, which knows of forks.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        except BaseException:
            self._close_pipes()
            raise
        finally:
            theirs.close()
            answers.close()

    def __enter__(self) -> Forked[_R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: Any) -> None:
        """Give the copy something to work on; waits while it has a megabyte before it.

        Raises:
            ProcessLostError: the copy was lost.
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
            ProcessLostError: the copy was lost.
            Exception: what the work raised, with the copy's traceback as a note.
        """
        with contextlib.suppress(BrokenPipeError):
            self._to.send(None)
        try:
            found, raised = self._from.recv()
        except (EOFError, OSError):  # of nothing, or of half an answer
            self._process.join()
            raise _lost(self._name, self._process.exitcode) from None
        finally:
            self.close()
        if raised is not None:
            raise raised
        return found

    def close(self) -> None:
        """End the copy, whatever it is doing; nothing happens when it has ended."""
        self._close_pipes()
        self._process.kill()
        self._process.join()

    def _close_pipes(self) -> None:
        for end in (self._to, self._from):
            _ENDS.discard(end)
            end.close()

    def _run(
        self,
        work: Callable[[Iterator[Any]], _R],
        messages: Connection,
        answers: Connection,
        owner: int,
    ) -> None:
        """In the copy: work, and answer."""
        _follow(owner)
        # The process that is waited for decides what an interrupt means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for end in _ENDS:  # else the pipes would stay open when their owner is gone
            end.close()
        _ENDS.clear()
        try:
            answer = _pickled((work(_received(messages)), None))
        except _OwnerGoneError:
            return
        except Exception as error:  # raised where the result is asked for
            answer = _pickled((None, _noted(error)))
        messages.close()  # whoever still sends learns that an answer waits
        with contextlib.suppress(BrokenPipeError):
            answers.send_bytes(answer)


class _OwnerGoneError(Exception):
    """Nobody waits for the work any more."""


def _received(messages: Connection) -> Iterator[Any]:
    while True:
        try:
            message = messages.recv()
        except EOFError:
            raise _OwnerGoneError from None
        if message is None:
            return
        yield message[0]


def _pickled(answer: tuple[Any, Exception | None]) -> bytes:
    """The answer as bytes; an error that does not come back as it was becomes one of its words."""
    try:
        sent = bytes(ForkingPickler.dumps(answer))
        if answer[1] is not None:
            pickle.loads(sent)  # noqa: S301 — our own bytes, of a moment ago
    except Exception as error:
        words = RuntimeError("".join(traceback.format_exception(answer[1] or error)))
        return bytes(ForkingPickler.dumps((None, words)))
    return sent


def _noted(error: Exception) -> Exception:
    """The error with its place as a note: the traceback itself stays in the copy."""
    error.add_note("".join(traceback.format_exception(error)))
    return error


def _lost(name: str, exit_code: int | None) -> ProcessLostError:
    if exit_code == -signal.SIGKILL:
        hint = "as the system does when it has no memory left; the run itself is whole"
        return ProcessLostError(f"the process for {name} was killed", hint=hint)
    return ProcessLostError(f"the process for {name} was lost (exit code {exit_code})")


def _follow(owner: int) -> None:
    """End this process when the one that made it ends, however that may be."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:  # it had ended before
        os._exit(1)


def _widen(pipe: Connection) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # a limit of the system; the pipe is as wide as it was
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def begun(work: Callable[[], _R], name: str, *, forked: bool) -> Forked[_R] | Later[_R]:
    """Begin work that needs no messages: in a copy of this process, or here and later.

    It is done here, too, where the system makes no further process.
    """
    if forked:
        with contextlib.suppress(OSError):
            return Forked(lambda messages: work(), name)
    return Later(work)


def cores() -> int:
    """Cores that this process may use; where the system does not say, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
