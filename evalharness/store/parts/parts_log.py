"""Sealed parts that ``run.json`` does not list yet: one line a seal in ``parts-N.jsonl``.

Writing the whole list anew at each seal takes time with the square of the parts. So once there are
many, a seal adds a line here, and the manifest takes the lines in when it has to be written anyway,
or when they are an eighth of what it lists: all that is ever written grows with the parts then.
``N`` is the manifest's ``parts_log``, which changes when lines are taken in: a log of another
number is over, whatever a kill left of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from evalharness.store.folder import durable_files
from evalharness.store.parts.part_files import Part

PATTERN = "parts-*.jsonl"
#: Up to this many parts the manifest is written anew at each seal.
FEW_PARTS = 256
_SHARE = 8


class Line(msgspec.Struct, kw_only=True):
    """Parts of one seal, and what the manifest's counts are with them."""

    parts: list[Part]
    recorded: int
    by_status: dict[str, int]
    in_doubt: int


def path_of(root: Path, number: int) -> Path:
    """The log that goes with a manifest."""
    return root / f"parts-{number}.jsonl"


def is_due(listed: int, logged: int) -> bool:
    """Whether the manifest is to be written, with that many parts in all and in the log."""
    return listed < FEW_PARTS or logged * _SHARE >= listed


def append(path: Path, line: Line) -> None:
    """Add a line, durably.

    Raises:
        OSError: the disk refused.
    """
    new = not path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, durable_files.FILE_MODE)
    with os.fdopen(fd, "wb") as file:  # which writes all of it or raises, os.write a part of it
        # On a line of its own also where a kill has cut off the one before.
        file.write(b"\n" + msgspec.json.encode(line) + b"\n")
        file.flush()
        durable_files.ops.fsync(fd)
    if new:
        durable_files.sync_folder(path.parent)


def read(path: Path) -> list[Line]:
    """The lines there are; one that was cut off by a kill belongs to a seal that is repeated."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    found: list[Line] = []
    for line in content.splitlines():
        with suppress(msgspec.MsgspecError):
            found.append(msgspec.json.decode(line, type=Line))
    return found


def merged(parts: Sequence[Part], lines: Sequence[Line]) -> list[Part]:
    """Parts with those of the log, in order; a repeated seal replaces its own earlier entry."""
    by_name: dict[str, Any] = {part.path: part for part in parts}
    for line in lines:
        by_name.update((part.path, part) for part in line.parts)
    return [by_name[name] for name in sorted(by_name)]
