"""What of a local copy is in the store: a ledger beside the run's files."""

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


class Uploaded:
    """Files of one run that are in the store, by their names in the run folder.

    A line of the ledger that was cut off only means that a file is uploaded again.

    Args:
        root: the local copy.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, _Entry] = {}
        path = root / _LEDGER
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                noted = msgspec.json.decode(line, type=_Entry)
            except msgspec.MsgspecError:
                continue
            self._known[noted.name] = noted

    def sha256(self, name: str) -> str | None:
        """SHA-256 of a file as it is in the store; None where it is not known to be there."""
        known = self._known.get(name)
        return None if known is None else known.sha256

    def is_changed(self, name: str) -> bool:
        """Whether a file is not there yet, or was another one, by size and time of change."""
        known, about = self._known.get(name), (self._root / name).stat()
        return known is None or (known.size, known.mtime_ns) != (about.st_size, about.st_mtime_ns)

    def note(self, name: str, sha256: str) -> None:
        """A file is in the store and in the copy, alike; several threads may say so at once."""
        about = (self._root / name).stat()
        noted = _Entry(name, sha256, about.st_size, about.st_mtime_ns)
        self._known[name] = noted
        with (self._root / _LEDGER).open("ab") as file:  # one write a line, for several threads
            file.write(msgspec.json.encode(noted) + b"\n")
