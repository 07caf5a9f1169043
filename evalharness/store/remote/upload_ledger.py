"""A ledger of the files of a local copy that are in the object store, kept beside the files."""

from __future__ import annotations

from pathlib import Path

import msgspec

_LEDGER = ".uploaded"


class _Entry(msgspec.Struct, array_like=True):
    """A file as it was when it was uploaded and verified."""

    name: str
    sha256: str
    size: int
    mtime_ns: int


class UploadLedger:
    """Files of one run that are in the store, by their names in the run folder.

    A truncated line of the ledger only means that a file is uploaded again.

    Args:
        root: the local copy.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries: dict[str, _Entry] = {}
        path = root / _LEDGER
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                entry = msgspec.json.decode(line, type=_Entry)
            except msgspec.MsgspecError:
                continue
            self._entries[entry.name] = entry

    def sha256(self, name: str) -> str | None:
        """SHA-256 of a file in the store; None if it is not known to be there."""
        entry = self._entries.get(name)
        return None if entry is None else entry.sha256

    def is_changed(self, name: str) -> bool:
        """Whether a file is not in the store yet, or has changed its size or modification time."""
        entry, stat = self._entries.get(name), (self._root / name).stat()
        return entry is None or (entry.size, entry.mtime_ns) != (stat.st_size, stat.st_mtime_ns)

    def note(self, name: str, sha256: str) -> None:
        """Note that a file is the same in the store and in the copy; thread-safe."""
        stat = (self._root / name).stat()
        entry = _Entry(name, sha256, stat.st_size, stat.st_mtime_ns)
        self._entries[name] = entry
        with (self._root / _LEDGER).open("ab") as file:  # one write per line, so threads may share
            file.write(msgspec.json.encode(entry) + b"\n")
