"""``notes.json``: what people say of a run, its note and its tags, beside ``run.json``.

It is no part of what was measured: nothing but ``evalharness note`` writes it, it needs no lock of
the run, and it can be changed while the run goes on. Of a run in an object store, the store's file
is the one that counts; the file of a local copy is a copy of it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from evalharness.errors import StorageError
from evalharness.store.folder.durable_files import write_bytes_durably
from evalharness.store.remote.object_store import RemoteFolder
from evalharness.store.remote.sync import NOTES, find_sync

_ATTEMPTS = 20  # of replacing a file in a store that others replace as well


class RunNotes(msgspec.Struct, kw_only=True, frozen=True):
    """The note and the tags of a run; the content of ``notes.json``.

    Attributes:
        note: a text; None where there is none.
        tags: in the order in which they were given, each once.
    """

    note: str | None = None
    tags: list[str] = []

    def with_tags(self, add: list[str], remove: list[str]) -> RunNotes:
        """The same with other tags; one that is both added and removed is removed."""
        tags = [tag for tag in dict.fromkeys([*self.tags, *add]) if tag not in remove]
        return RunNotes(note=self.note, tags=tags)


Edit = Callable[[RunNotes], RunNotes]


def read_notes(root: Path) -> RunNotes:
    """Note and tags of a run folder; both are empty where nobody gave any.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        return decode_notes((root / NOTES).read_bytes(), root / NOTES)
    except FileNotFoundError:
        return RunNotes()
    except OSError as error:
        raise StorageError(f"{root / NOTES} cannot be read: {error.strerror}") from error


def decode_notes(content: bytes, where: Path | str) -> RunNotes:
    """The content of ``notes.json``; ``where`` names the file in the message.

    Raises:
        StorageError: it is damaged.
    """
    try:
        return msgspec.json.decode(content, type=RunNotes)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{where} is damaged: {error}",
            hint="move it away, and give note and tags again with evalharness note",
        ) from error


def change_notes(root: Path, edit: Edit) -> RunNotes:
    """Replace note and tags by ``edit`` of what they are, durably; what they are then.

    Of several processes that change them at once, none undoes what another did.

    Raises:
        StorageError: the file is damaged, the disk refused, or the store did.
    """
    try:
        folder = os.open(root, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot open {root}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # run.lock is another file: the run itself may go on
        sync = find_sync(root)
        after = edit(read_notes(root)) if sync is None else _replace(sync.remote, edit)
        write_bytes_durably(root / NOTES, _encode(after))
    finally:
        os.close(folder)
    return after


def _replace(remote: RemoteFolder, edit: Edit) -> RunNotes:
    """Change the store's file: by conditional writes, again where another was faster."""
    for _ in range(_ATTEMPTS):
        stored = remote.read_versioned(NOTES)
        if stored is None:
            after = edit(RunNotes())
            done = remote.create(NOTES, _encode(after))
        else:
            after = edit(decode_notes(stored.content, f"{remote.url}/{NOTES}"))
            done = remote.replace(NOTES, _encode(after), stored.version)
        if done:
            return after
    raise StorageError(
        f"{remote.url}/{NOTES} is being changed elsewhere all the time", hint="try again"
    )


def _encode(notes: RunNotes) -> bytes:
    return msgspec.json.format(msgspec.json.encode(notes), indent=1) + b"\n"
