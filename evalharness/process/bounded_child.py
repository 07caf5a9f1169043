"""A child that answers one request after the other, and is killed when it takes too long.

Unlike :mod:`.child` it is used from code that is not asynchronous, and it may do anything: run
without end, fill the memory, crash. A request has any number of replies; the caller knows how
many. Requests and replies are frames of an 8-byte little-endian length and that many bytes, over
pipes of their own, so that nothing printed in the child gets between them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess  # our own interpreter
import sys
import time

from evalharness.process.child import describe_exit, exit_with_parent
from evalharness.process.environment import environment_without_secrets

_READ_BYTES = 2**20
_END_S = 10.0  # for the system to end a process whose pipes are closed
# The child imports what this process would import, wherever that is installed.
_BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; import {module}; "
    "{module}.main(int(sys.argv[1]), int(sys.argv[2]))"
)


class ChildEndedError(Exception):
    """The child ended instead of answering.

    Attributes:
        status: its exit status; a negative one is the signal that ended it.
    """

    def __init__(self, status: int) -> None:
        super().__init__(describe_exit(status))
        self.status = status


class ChildLateError(Exception):
    """The child did not answer in time, and was killed."""


class BoundedChild:
    """A started child.

    Args:
        module: its function ``main`` gets the descriptors of requests and replies, and makes a
            :class:`ChildEnd` of them.
        whole_environment: keep variables that hold keys, and show what it writes; for code of the
            user.

    Raises:
        OSError: the system makes no further process.
    """

    def __init__(self, module: str, *, whole_environment: bool = False) -> None:
        request_end, self._requests = os.pipe()
        self._replies, reply_end = os.pipe()
        self._buffer = bytearray()
        self._owner = os.getpid()
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter
                [
                    sys.executable, "-P", "-c", _BOOT.format(module=module),
                    str(request_end), str(reply_end), *sys.path,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=None if whole_environment else subprocess.DEVNULL,
                pass_fds=(request_end, reply_end),
                start_new_session=True,  # Ctrl-C is this process's to decide about
                env=None if whole_environment else environment_without_secrets(),
            )  # fmt: skip
        except BaseException:
            os.close(self._requests)
            os.close(self._replies)
            raise
        finally:
            os.close(request_end)
            os.close(reply_end)
        os.set_blocking(self._requests, False)
        os.set_blocking(self._replies, False)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def is_usable(self) -> bool:
        """Whether it has not ended, and is the child of this process and not of its parent."""
        return self._owner == os.getpid() and self._process.poll() is None

    def send(self, request: bytes, wait_s: float) -> None:
        """Send a request, which the child takes within ``wait_s`` seconds.

        Raises:
            ChildEndedError, ChildLateError: it is of no further use.
        """
        end = time.monotonic() + wait_s
        rest = memoryview(struct.pack("<Q", len(request)) + request)
        while rest:
            self._wait(self._requests, select.POLLOUT, end)
            try:
                rest = rest[os.write(self._requests, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None

    def receive(self, wait_s: float) -> bytes:
        """The next reply, which must come within ``wait_s`` seconds.

        Raises:
            ChildEndedError, ChildLateError: it is of no further use.
        """
        end = time.monotonic() + wait_s
        while True:
            if len(self._buffer) >= 8:
                (size,) = struct.unpack_from("<Q", self._buffer)
                if len(self._buffer) >= 8 + size:
                    reply = bytes(memoryview(self._buffer)[8 : 8 + size])
                    del self._buffer[: 8 + size]
                    return reply
            self._wait(self._replies, select.POLLIN, end)
            try:
                data = os.read(self._replies, _READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise self._ended()
            self._buffer += data

    def close(self) -> None:
        """End the child and what it started in its session, whatever they are doing."""
        if self._requests < 0:
            return
        if self._owner == os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        else:  # a fork closes its copies of the pipes; the child is not its own to wait for
            self._process.returncode = 0
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._requests)
        os.close(self._replies)
        self._requests = self._replies = -1

    def _wait(self, descriptor: int, event: int, end: float) -> None:
        """Wait for the pipe; what is in it is taken also when this process was late itself."""
        poll = select.poll()
        poll.register(descriptor, event)
        left_ms = max(0.0, end - time.monotonic()) * 1000
        if not poll.poll(left_ms):
            self.close()
            raise ChildLateError

    def _ended(self) -> ChildEndedError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self.close()
        return ChildEndedError(self._process.returncode)


class ChildEnd:
    """The child's own end of the pipes, in the child.

    From here on the child ends with its parent, reads nothing from standard input, and what it
    prints goes to standard error.
    """

    def __init__(self, requests: int, replies: int) -> None:
        lifeline = os.dup(0)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        try:
            os.dup2(2, 1)
        except OSError:  # standard error is closed
            os.dup2(null, 1)
            os.dup2(null, 2)
        os.close(null)
        exit_with_parent(lifeline)
        self._requests = os.fdopen(requests, "rb")
        self._replies = replies

    def receive(self) -> bytes | None:
        """The next request; None after the last."""
        head = self._requests.read(8)
        if len(head) < 8:
            return None
        (size,) = struct.unpack("<Q", head)
        return self._requests.read(size)

    def send(self, reply: bytes) -> None:
        """Send a reply at once, since the next piece of work may end this process."""
        rest = memoryview(struct.pack("<Q", len(reply)) + reply)
        while rest:
            rest = rest[os.write(self._replies, rest) :]
