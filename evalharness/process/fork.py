"""Work in a fork of this process, which sends back its result.

For work that keeps the interpreter busy: two threads would share one core. The fork shares all
memory with this process until one of the two writes to it, so no input has to be sent. Linux only;
elsewhere system libraries do not survive a fork, and the work is done in this process.
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
from evalharness.process.interrupts import SIGNALS

_R = TypeVar("_R")

_PIPE_BYTES = 2**20  # so that this process seldom waits for the other one to read
_PIPE_ENDS: set[Connection] = set()  # this process's, of all living forks
_PR_SET_PDEATHSIG = 1  # of prctl(2)


def can_fork() -> bool:
    """Whether a second process is possible here, and has a core to run on.

    It is not where other threads run, as in a notebook: a lock that one of them holds at that
    moment would never be free in the fork.
    """
    is_daemon = multiprocessing.current_process().daemon  # those may have no children
    single_threaded = threading.active_count() == 1
    return sys.platform == "linux" and available_cpus() > 1 and single_threaded and not is_daemon


class DeferredTask(Generic[_R]):
    """Work that is done in this process when its result is needed."""

    def __init__(self, work: Callable[[], _R]) -> None:
        self._work = work

    def __enter__(self) -> DeferredTask[_R]:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def result(self) -> _R:
        """The result of the work."""
        return self._work()


class ForkedTask(Generic[_R]):
    """A fork of this process that does one task. Use as a context manager: leaving it ends it.

    Args:
        work: called in the fork with an iterator of the messages sent to it, as they come, until
            :meth:`result` is called; what it returns or raises is pickled.
        name: what the fork does, for errors: ``judging outputs``.

    Raises:
        OSError: the system makes no further process.
    """

    def __init__(self, work: Callable[[Iterator[Any]], _R], name: str) -> None:
        context = multiprocessing.get_context("fork")
        self._name = name
        messages, self._message_pipe = context.Pipe(duplex=False)
        self._answer_pipe, answers = context.Pipe(duplex=False)
        _enlarge(self._message_pipe)
        _PIPE_ENDS.update((self._message_pipe, self._answer_pipe))
        self._process = context.Process(
            target=self._run, args=(work, messages, answers, os.getpid()), name=name, daemon=True
        )
        try:
            with warnings.catch_warnings():
                # From 3.12 on Python warns of threads: those of pyarrow, which knows of forks.
                warnings.simplefilter("ignore", DeprecationWarning)
                # In the fork no signal finds the handlers of this process.
                mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
                try:
                    self._process.start()
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except BaseException:
            self._close_pipes()
            raise
        finally:
            messages.close()
            answers.close()

    def __enter__(self) -> ForkedTask[_R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: Any) -> None:
        """Send the fork a message to work on; waits while a megabyte is unread.

        Raises:
            ProcessLostError: the fork was lost.
            Exception: what the work raised.
        """
        try:
            self._message_pipe.send((message,))
        except BrokenPipeError:
            self.result()
            raise

    def result(self) -> _R:
        """The result of the work, once every message is processed.

        Raises:
            ProcessLostError: the fork was lost.
            Exception: what the work raised, with the fork's traceback as a note.
        """
        with contextlib.suppress(BrokenPipeError):
            self._message_pipe.send(None)
        try:
            result, error = self._answer_pipe.recv()
        except (EOFError, OSError):  # no answer, or half of one
            self._process.join()
            raise _lost_error(self._name, self._process.exitcode) from None
        finally:
            self.close()
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the fork, whatever it is doing; nothing happens when it has ended."""
        self._close_pipes()
        self._process.kill()
        self._process.join()

    def _close_pipes(self) -> None:
        for end in (self._message_pipe, self._answer_pipe):
            _PIPE_ENDS.discard(end)
            end.close()

    def _run(
        self,
        work: Callable[[Iterator[Any]], _R],
        messages: Connection,
        answers: Connection,
        owner: int,
    ) -> None:
        """In the fork: work, and answer."""
        _exit_with(owner)
        # The owner decides what an interrupt means.
        for number in SIGNALS:
            ends = number == signal.SIGTERM
            signal.signal(number, signal.SIG_DFL if ends else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for end in _PIPE_ENDS:  # else the pipes would stay open when their owner has ended
            end.close()
        _PIPE_ENDS.clear()
        try:
            answer = _pickle((work(_receive(messages)), None))
        except _OwnerEndedError:
            return
        except Exception as error:  # raised again by :meth:`result`
            answer = _pickle((None, _with_traceback(error)))
        messages.close()  # a sender gets BrokenPipeError, and then reads the answer
        with contextlib.suppress(BrokenPipeError):
            answers.send_bytes(answer)


class _OwnerEndedError(Exception):
    """The owner has ended: nobody waits for the result."""


def _receive(messages: Connection) -> Iterator[Any]:
    while True:
        try:
            message = messages.recv()
        except EOFError:
            raise _OwnerEndedError from None
        if message is None:
            return
        yield message[0]


def _pickle(answer: tuple[Any, Exception | None]) -> bytes:
    """The answer as bytes; one that cannot be unpickled becomes a RuntimeError."""
    try:
        data = bytes(ForkingPickler.dumps(answer))
        if answer[1] is not None:
            pickle.loads(data)  # noqa: S301 — bytes pickled just above
    except Exception as error:
        replacement = RuntimeError("".join(traceback.format_exception(answer[1] or error)))
        return bytes(ForkingPickler.dumps((None, replacement)))
    return data


def _with_traceback(error: Exception) -> Exception:
    """The error with its traceback as a note: traceback objects are not pickled."""
    error.add_note("".join(traceback.format_exception(error)))
    return error


def _lost_error(name: str, exit_code: int | None) -> ProcessLostError:
    if exit_code == -signal.SIGKILL:
        hint = "as the system does when it has no memory left; the run itself is whole"
        return ProcessLostError(f"the process for {name} was killed", hint=hint)
    return ProcessLostError(f"the process for {name} was lost (exit code {exit_code})")


def _exit_with(owner: int) -> None:
    """End this process when its owner ends, however that may be."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:  # it had ended before
        os._exit(1)


def _enlarge(pipe: Connection) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # a limit of the system: the pipe keeps its size
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def start_task(
    work: Callable[[], _R], name: str, *, use_fork: bool
) -> ForkedTask[_R] | DeferredTask[_R]:
    """Start work that needs no messages: in a fork, or deferred in this process.

    It is deferred, too, where the system makes no further process.
    """
    if use_fork:
        with contextlib.suppress(OSError):
            return ForkedTask(lambda messages: work(), name)
    return DeferredTask(work)


def available_cpus() -> int:
    """Cores that this process may use; where the system does not say, those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
