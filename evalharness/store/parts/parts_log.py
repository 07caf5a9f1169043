"""The log of sealed parts that ``run.json`` does not list yet: ``parts-N.jsonl``, a line a seal.

Rewriting the whole list at each seal would take quadratic time. So once there are many parts, a
seal appends a line here. The manifest takes the lines over when it is written for another reason,
or when they hold an eighth of all parts; the total work is then linear. ``N`` is the manifest's
``parts_log``, which is incremented when lines are taken over: a log with another number is
obsolete.
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
#: With fewer parts than this the manifest is rewritten at each seal.
FEW_PARTS = 256
_SHARE = 8


class LogLine(msgspec.Struct, kw_only=True):
    """The parts of one seal, and the manifest's counts with them."""

    parts: list[Part]
    recorded: int
    by_status: dict[str, int]
    in_doubt: int


def log_path(root: Path, number: int) -> Path:
    """The path of the log with this number."""
    return root / f"parts-{number}.jsonl"


def is_manifest_due(listed: int, logged: int) -> bool:
    """Whether the manifest is to be rewritten, given the number of parts in all and in the log."""
    return listed < FEW_PARTS or logged * _SHARE >= listed


def append(path: Path, line: LogLine) -> None:
    """Add a line, durably.

    Raises:
        OSError: the disk refused.
    """
    new = not path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, durable_files.FILE_MODE)
    with os.fdopen(fd, "wb") as file:  # unlike os.write it writes everything or raises
        # The leading newline ends a line that a kill has truncated.
        file.write(b"\n" + msgspec.json.encode(line) + b"\n")
        file.flush()
        durable_files.ops.fsync(fd)
    if new:
        durable_files.sync_folder(path.parent)


def read(path: Path) -> list[LogLine]:
    """The complete lines of a log; a truncated one belongs to a seal that is repeated."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    lines: list[LogLine] = []
    for line in content.splitlines():
        with suppress(msgspec.MsgspecError):
            lines.append(msgspec.json.decode(line, type=LogLine))
    return lines


def merge(parts: Sequence[Part], lines: Sequence[LogLine]) -> list[Part]:
    """Parts and those of the log, in order; a repeated seal replaces its own earlier entry."""
    by_name: dict[str, Any] = {part.path: part for part in parts}
    for line in lines:
        by_name.update((part.path, part) for part in line.parts)
    return [by_name[name] for name in sorted(by_name)]
