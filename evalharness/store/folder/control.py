"""``control/`` in a run folder: requests to a running run, its answers, and what it does now.

``log.jsonl`` holds requests and answers, one a line, each appended by one write. Who asks waits for
the line with the answer. The process of the run looks at the file's size a few times a second, and
reads only what is new. Which changes were in force is in ``run.json``: this folder may be deleted.

``status.json`` is what the run does at the moment. It is written while somebody watches, who says
so by touching ``watched``.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from evalharness.config.limit_changes import LimitValue
from evalharness.store.folder.durable_files import FILE_MODE, make_folder

CONTROL = "control"
_LOG, _WATCHED, _STATUS = "log.jsonl", "watched", "status.json"
#: Seconds for which one look keeps ``status.json`` up to date.
WATCH_S = 15.0

Command = Literal["pause", "resume", "set"]


class ControlChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a running run; ``control`` of the manifest lists them, oldest first.

    Attributes:
        at: when it was in force, ISO 8601 in UTC.
        who: the user who asked.
        command: ``pause``, ``resume`` or ``set``; ``restart`` is the beginning of a session, which
            ended a pause and changed limits of the session before.
        key: of a limit that was set (``rpm``); null for other commands.
        old, new: its values; null is no limit.
        reason: the user's; null where none was given.
    """

    at: str
    who: str
    command: Literal["pause", "resume", "set", "restart"]
    key: str | None = None
    old: LimitValue = None
    new: LimitValue = None
    reason: str | None = None


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="request"):
    """What somebody asks of a running run.

    Attributes:
        id: unique; the answer has the same.
        at_ns: when, nanoseconds since the Unix epoch.
        expires_ns: when who asked stops waiting; later it must not be applied any more.
        who: the user.
        command: what is asked.
        values: of limits to set, by key.
        reason: the user's.
    """

    id: str
    at_ns: int
    expires_ns: int
    who: str
    command: Command
    values: dict[str, LimitValue] = {}
    reason: str | None = None


class ControlAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="answer"):
    """The answer of the run's process.

    Attributes:
        id: of the request.
        applied: whether what was asked holds now.
        message: what was done, or why not.
        hint: what to do instead.
    """

    id: str
    applied: bool
    message: str
    hint: str | None = None


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a running run does at a moment; amounts of money are US dollars, times seconds.

    Of a run that takes no changes only ``at``, ``refuses``, ``hint``, ``planned`` and ``recorded``
    are known.

    Attributes:
        at: the moment, ISO 8601 in UTC.
        refuses: why it takes no changes, as a sentence; null where it takes them.
        hint: what can be done with such a run.
        planned: trials of the plan; null where that is not known.
        recorded: of them, those with a record, of earlier sessions too.
        by_status: records of this session by status.
        sent: requests sent in this session; null, as all that follow, where it is not known.
        retried: of them, those that were not the first of their trial.
        in_flight: requests on the wire.
        seconds: of this session, without pauses.
        paused_since: since when nothing new is sent, ISO 8601 in UTC; null while it is sent.
        waiting: what requests wait for; null where they do not.
        waiting_s: how long still; null where that is unknown.
        spent_usd: by this session and, with a cost limit, by earlier ones.
        in_doubt_usd: worst cases of attempts of unknown outcome.
        limits: that hold now, by key; null is no limit.
        in_flight_limit: requests that may be in flight now, by endpoint.
    """

    at: str
    refuses: str | None = None
    hint: str | None = None
    planned: int | None = None
    recorded: int | None = None
    by_status: dict[str, int] = {}
    sent: int | None = None
    retried: int | None = None
    in_flight: int | None = None
    seconds: float | None = None
    paused_since: str | None = None
    waiting: str | None = None
    waiting_s: float | None = None
    spent_usd: str | None = None
    in_doubt_usd: str | None = None
    limits: dict[str, LimitValue] = {}
    in_flight_limit: dict[str, int] = {}


LogEntry = ControlRequest | ControlAnswer
_decode = msgspec.json.Decoder(LogEntry).decode


class ControlLog:
    """Reads the log of a run folder from its beginning on, each line once."""

    def __init__(self, root: Path) -> None:
        self._path = root / CONTROL / _LOG
        self._offset = 0

    def read_new(self) -> list[LogEntry]:
        """Lines since the last call; what is damaged or not complete yet is left out."""
        try:
            if self._path.stat().st_size <= self._offset:
                return []
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        entries: list[LogEntry] = []
        for line in complete.splitlines():
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                entries.append(_decode(line))
        return entries


def append_to_log(root: Path, entry: LogEntry) -> None:
    """Append one line to the log.

    Raises:
        OSError: the disk refused.
    """
    folder = root / CONTROL
    make_folder(folder)
    # A line of its own also where another writer was killed within its last one.
    line = b"\n" + msgspec.json.encode(entry) + b"\n"
    fd = os.open(folder / _LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)


# ── what it does now ─────────────────────────────────────────────────────────────────────────────


def watch(root: Path) -> None:
    """Ask the run to keep its status up to date for :data:`WATCH_S`.

    Raises:
        OSError: the folder cannot be written.
    """
    make_folder(root / CONTROL)
    (root / CONTROL / _WATCHED).touch(FILE_MODE)


def is_watched(root: Path) -> bool:
    """Whether somebody asked for the status lately."""
    try:
        return time.time() - (root / CONTROL / _WATCHED).stat().st_mtime < WATCH_S
    except OSError:
        return False


def write_status(root: Path, status: RunStatus) -> None:
    """Replace the status; it is not synced, since it is true for a moment only.

    Raises:
        OSError: the disk refused.
    """
    path = root / CONTROL / _STATUS
    temporary = path.with_name(f".{_STATUS}.tmp")
    temporary.write_bytes(msgspec.json.encode(status))
    temporary.replace(path)


def read_status(root: Path) -> RunStatus | None:
    """The newest status; None where there is none."""
    try:
        return msgspec.json.decode((root / CONTROL / _STATUS).read_bytes(), type=RunStatus)
    except (OSError, msgspec.MsgspecError):
        return None


def remove_status(root: Path) -> None:
    """The run ends: it has no status any more."""
    for name in (_STATUS, _WATCHED):
        with suppress(OSError):
            (root / CONTROL / name).unlink(missing_ok=True)
