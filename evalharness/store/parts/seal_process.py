"""A helper process that writes parts, so that the event loop is not delayed by the GIL.

Building a part takes some 30 µs of CPU a trial. In a thread it would compete with the event loop
for a quarter of a second every 8,192 trials; requests would wait and recorded times would be late.
So the first part that is due while requests are sent starts a helper process. It reads the entries
from the journal's file and writes the parts. The process that holds the run lists them and deletes
their entries. A run that never fills a part starts no helper.

The helper ends with its parent, which closes its standard input. It holds the run folder's lock as
well, so no other process writes the folder while the helper still may.
"""

from __future__ import annotations

import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from evalharness.errors import StorageError
from evalharness.process.tuning import lower_priority
from evalharness.store.journal.journal_format import Damage, connect_for_reading
from evalharness.store.parts.seal import SealedParts, make_parts
from evalharness.store.parts.setting_columns import SettingColumns

_LENGTH = struct.Struct("<Q")


class SealRequest(NamedTuple):
    """A request to write one part.

    Attributes:
        root: path of the run folder.
        journal: path of the file that holds the entries.
        part: the part's number.
        last_seq: number of the last entry it may hold.
        settings: by setting_id.
    """

    root: str
    journal: str
    part: int
    last_seq: int
    settings: dict[str, SettingColumns]


class SealOutcome(NamedTuple):
    """The parts (None if no trial was finished), the numbers of their entries, and damage."""

    sealed: SealedParts | None
    seqs: list[int]
    damage: list[Damage]


def make_part(request: SealRequest) -> SealOutcome:
    """Read the entries and write both parts, in this thread.

    Raises:
        StorageError: the disk refused, or the journal cannot be read.
    """
    damage: list[Damage] = []
    db = connect_for_reading(Path(request.journal))
    if db is None:
        raise StorageError(f"the journal {request.journal} is gone")
    try:
        root = Path(request.root)
        sealed, seqs = make_parts(
            db, root, request.part, request.last_seq, request.settings, damage
        )
    except OSError as error:
        raise StorageError(f"records cannot be sealed: {error}") from error
    finally:
        db.close()
    return SealOutcome(sealed, seqs, damage)


class _Reply(NamedTuple):
    """The reply of the helper: an outcome, or an error."""

    outcome: SealOutcome | None
    error: str = ""
    hint: str | None = None


_encode = msgspec.msgpack.encode
_decode_request = msgspec.msgpack.Decoder(SealRequest).decode
_decode_reply = msgspec.msgpack.Decoder(_Reply).decode


class SealProcess:
    """Makes parts: in this thread until :meth:`start_with_next_part`, then in a helper process.

    Args:
        lock: file descriptor of the run folder's lock, which the helper holds too.

    Attributes:
        process: the helper, while it runs.
    """

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._use_process = False
        self.process: subprocess.Popen[bytes] | None = None

    def start_with_next_part(self) -> None:
        """Make the next part, and those after it, in a helper process."""
        self._use_process = True

    def make_part(self, request: SealRequest) -> SealOutcome:
        """As :func:`make_part`; in this thread if the helper cannot be started or has died."""
        if self._use_process and self.process is None:
            self.process = self._start()
        process = self.process
        if process is None or process.stdin is None or process.stdout is None:
            return make_part(request)
        try:
            _write(process.stdin, _encode(request))
            payload = _read(process.stdout)
        except OSError:
            payload = None
        if payload is None:  # killed, perhaps by the OOM killer; the part is made again
            self.close()
            self._use_process = False
            return make_part(request)
        reply = _decode_reply(payload)
        if reply.outcome is None:
            raise StorageError(reply.error, hint=reply.hint)
        return reply.outcome

    def close(self) -> None:
        """End the helper, after the part that it is making."""
        process, self.process = self.process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes] | None:
        try:
            return subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self._lock],
                # Ctrl-C is for the command, which ends this one. A group in the same session would
                # get SIGHUP from the system when it stands still as the command dies.
                start_new_session=True,
            )
        except OSError:
            self._use_process = False
            return None


def _write(file: IO[bytes], payload: bytes) -> None:
    file.write(_LENGTH.pack(len(payload)) + payload)
    file.flush()


def _read(file: IO[bytes]) -> bytes | None:
    """The next payload; None at the end of the pipe, also within a payload."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    payload = file.read(length)
    return payload if len(payload) == length else None


def main() -> None:
    """The helper: one reply for each request, until its parent closes the pipe or ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent handles signals, and closes the pipe
    lower_priority()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # printed text must not get between replies
    requests: queue.SimpleQueue[SealRequest] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = requests.get()
        try:
            reply = _Reply(make_part(request))
        except StorageError as error:
            reply = _Reply(None, error.message, error.hint)
        except Exception as error:
            reply = _Reply(None, f"records cannot be sealed: {error!r}")
        with suppress(BrokenPipeError):
            _write(replies, _encode(reply))


def _listen(requests: queue.SimpleQueue[SealRequest]) -> None:
    """Queue requests; end the process at the end of the pipe, even while a part is written."""
    while (payload := _read(sys.stdin.buffer)) is not None:
        requests.put(_decode_request(payload))
    os._exit(0)
