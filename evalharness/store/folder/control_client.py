"""Asks something of a running run, and waits for its answer; works from any process."""

from __future__ import annotations

import getpass
import secrets
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from evalharness.config.limit_changes import LimitValue
from evalharness.errors import ConfigError, StorageError
from evalharness.store.folder.control import (
    Command,
    ControlAnswer,
    ControlLog,
    ControlRequest,
    RunStatus,
    append_to_log,
    read_status,
    watch,
)
from evalharness.store.folder.lock import holder_has_ended
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST, Manifest, read_manifest

WAIT_S = 30.0
_POLL_S, _LOOK_EVERY_S = 0.05, 0.5
# What is applied at the last moment still has to be answered.
_GRACE_S = 2.0


def user_name() -> str:
    """The user of this process, for ``who``."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def ask(
    root: Path,
    command: Command,
    values: Mapping[str, LimitValue] | None = None,
    *,
    who: str,
    reason: str | None = None,
    wait_s: float = WAIT_S,
) -> ControlAnswer:
    """Ask something of the process that writes a run, and wait until it has answered.

    Args:
        root: the run folder.
        command: what is asked.
        values: of limits, by key; for ``set``.
        who: the user who asks.
        reason: why; for people.
        wait_s: how long to wait; later it is not applied any more.

    Raises:
        ConfigError: the run is not running.
        StorageError: its process ended without an answer, or gave none in time.
    """
    refuse_not_running(root)
    log = ControlLog(root)
    now_ns = time.time_ns()
    request = ControlRequest(
        id=secrets.token_hex(8),
        at_ns=now_ns,
        expires_ns=now_ns + round(wait_s * 1e9),
        who=who,
        command=command,
        values=dict(values or {}),
        reason=reason,
    )
    try:
        append_to_log(root, request)
    except OSError as error:
        raise StorageError(f"{root} cannot be written: {error.strerror}") from error
    liveness, until = _Liveness(root), time.monotonic() + wait_s + _GRACE_S
    while True:
        running = liveness.look()  # before the log: an answer given meanwhile is not missed
        for entry in log.read_new():
            if isinstance(entry, ControlAnswer) and entry.id == request.id:
                return entry
        if not running:
            refuse_not_running(root)
        if time.monotonic() > until:
            raise _no_answer(root, wait_s)
        time.sleep(_POLL_S)


def ask_status(root: Path, *, wait_s: float = WAIT_S) -> RunStatus:
    """What a running run does now.

    Raises:
        ConfigError, StorageError: as :func:`ask`.
    """
    refuse_not_running(root)
    liveness, until = _Liveness(root), time.monotonic() + wait_s
    try:
        watch(root)
    except OSError as error:
        raise StorageError(f"{root} cannot be written: {error.strerror}") from error
    before = read_status(root)
    while (status := read_status(root)) is None or status == before:
        if not liveness.look():
            refuse_not_running(root)
        if time.monotonic() > until:
            raise _no_answer(root, wait_s)
        time.sleep(_POLL_S)
    return status if status.refuses is None else _counted(root, status)


def _counted(root: Path, status: RunStatus) -> RunStatus:
    """The status with what the folder tells of the trials."""
    run = Run.open(root)
    recorded = run.manifest.recorded + run.count_unsealed()
    return structs.replace(status, planned=run.manifest.planned, recorded=recorded)


class _Liveness:
    """Looks whether a run is running; at its manifest, which may be large, now and then only."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._look_at = 0.0

    def look(self) -> bool:
        if holder_has_ended(self._root):
            return False
        if time.monotonic() < self._look_at:
            return True
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        return is_running(self._root)


def is_running(root: Path) -> bool:
    """Whether a process writes the run, as far as the folder tells."""
    manifest = read_manifest(root)
    return manifest is not None and manifest.status == "running" and not holder_has_ended(root)


def refuse_not_running(root: Path) -> None:
    """Refuse a run that is not running.

    Raises:
        ConfigError: it has ended.
        StorageError: its process has died.
    """
    manifest = read_manifest(root)
    if manifest is None or manifest.status != "running":
        raise ConfigError(f"{root.name} is not running: {_ended(manifest)}", hint=_go_on(manifest))
    if holder_has_ended(root):
        raise StorageError(
            f"{root.name} is not running: its process has died",
            hint="what it had recorded is kept; its evalharness run, once more, goes on",
        )


def _ended(manifest: Manifest | None) -> str:
    if manifest is None:
        return f"it has no {MANIFEST} yet"
    return manifest.status + (f" ({manifest.reason})" if manifest.reason else "")


def _go_on(manifest: Manifest | None) -> str | None:
    unfinished = manifest is not None and manifest.status in ("interrupted", "stopped", "waiting")
    return "its evalharness run, once more, goes on, with other limits too" if unfinished else None


def _no_answer(root: Path, wait_s: float) -> StorageError:
    return StorageError(
        f"the process of {root.name} gave no answer in {wait_s:g} s; nothing is changed later",
        hint="it may stand still, or be of an earlier version: "
        f"evalharness list; cat {shlex.quote(str(root / 'run.lock'))}",
    )
