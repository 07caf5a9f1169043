"""Sealing in a process of its own, so that the event loop keeps the interpreter's lock.

Building a part computes for some 30 µs a trial. In a thread it would take turns with the event loop
for a quarter of a second every 8,192 trials, in which requests wait and recorded times are late. So
the first part that is due while requests are sent starts a helper process; it reads the entries
from the journal's file, as recovery does, and writes the parts. Listing them and dropping their
entries stays with the process that holds the run. A run that never fills a part starts none.

The helper lives no longer than its parent, whose end closes its standard input, and it holds the
run folder's lock as well: while it may still write, nobody else does.
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
from evalharness.store.journal.journal_format import Damage, connect_for_reading
from evalharness.store.parts.seal import Sealed, make_parts

_LENGTH = struct.Struct("<Q")

_NICE = 5


class Work(NamedTuple):
    """One part to make.

    Attributes:
        root: path of the run folder.
        journal: path of the file that holds the entries.
        part: the part's number.
        upto: the last entry it may hold.
        providers: by setting_id.
    """

    root: str
    journal: str
    part: int
    upto: int
    providers: dict[str, str]


class Done(NamedTuple):
    """What came of it: the parts (None: nothing was finished), their entries, what was damaged."""

    sealed: Sealed | None
    seqs: list[int]
    damage: list[Damage]


def make_part(work: Work) -> Done:
    """Read the entries and write both parts, here and now.

    Raises:
        StorageError: the disk refused, or the journal cannot be read.
    """
    damage: list[Damage] = []
    db = connect_for_reading(Path(work.journal))
    if db is None:
        raise StorageError(f"the journal {work.journal} is gone")
    try:
        root = Path(work.root)
        sealed, seqs = make_parts(db, root, work.part, work.upto, work.providers, damage)
    except OSError as error:
        raise StorageError(f"records cannot be sealed: {error}") from error
    finally:
        db.close()
    return Done(sealed, seqs, damage)


class _Answer(NamedTuple):
    """What the helper says: what it did, or why it could not."""

    done: Done | None
    refusal: str = ""
    hint: str | None = None


_encode = msgspec.msgpack.encode
_decode_work = msgspec.msgpack.Decoder(Work).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer).decode


class Sealer:
    """Makes parts: in this thread until :meth:`move_out`, then in the helper process.

    Args:
        lock: file descriptor of the run folder's lock, which the helper holds too.

    Attributes:
        process: the helper, while there is one.
    """

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._apart = False
        self.process: subprocess.Popen[bytes] | None = None

    def move_out(self) -> None:
        """From now on parts are made in a process of their own."""
        self._apart = True

    def make_part(self, work: Work) -> Done:
        """As :func:`make_part`. Where there can be no helper, or it is gone, it is done here."""
        if self._apart and self.process is None:
            self.process = self._start()
        process = self.process
        if process is None or process.stdin is None or process.stdout is None:
            return make_part(work)
        try:
            _write(process.stdin, _encode(work))
            payload = _read(process.stdout)
        except OSError:
            payload = None
        if payload is None:  # killed, perhaps for its memory; a part that was begun is begun anew
            self.close()
            self._apart = False
            return make_part(work)
        answer = _decode_answer(payload)
        if answer.done is None:
            raise StorageError(answer.refusal, hint=answer.hint)
        return answer.done

    def close(self) -> None:
        """End the helper, after the part it may be making."""
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
            )
        except OSError:
            self._apart = False
            return None


def _write(file: IO[bytes], payload: bytes) -> None:
    file.write(_LENGTH.pack(len(payload)) + payload)
    file.flush()


def _read(file: IO[bytes]) -> bytes | None:
    """The next payload; None at the end, also in the middle of one."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    payload = file.read(length)
    return payload if len(payload) == length else None


def main() -> None:
    """The helper: one answer a piece of work, until its parent closes the pipe or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent decides, and then closes the pipe
    # No part is urgent, and what the event loop notes is late by as long as it waits for a core.
    os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that is printed may get between answers
    todo: queue.SimpleQueue[Work] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(todo,), daemon=True).start()
    while True:
        work = todo.get()
        try:
            answer = _Answer(make_part(work))
        except StorageError as error:
            answer = _Answer(None, error.message, error.hint)
        except Exception as error:
            answer = _Answer(None, f"records cannot be sealed: {error!r}")
        with suppress(BrokenPipeError):
            _write(answers, _encode(answer))


def _listen(todo: queue.SimpleQueue[Work]) -> None:
    """Hand work over; at the end of the pipe end at once, whatever is being written aside."""
    while (payload := _read(sys.stdin.buffer)) is not None:
        todo.put(_decode_work(payload))
    os._exit(0)
