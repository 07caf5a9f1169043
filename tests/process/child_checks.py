"""For tests of child processes: wait until one has ended, and collect what is reported of it."""

from __future__ import annotations

import os
import select
import sys

import pytest

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")


def has_ended(pid: int, within_s: float = 30.0) -> bool:
    """Wait for a process that is not our child to end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)


class MessageLog(list[str]):
    """Collects what is said."""

    def __call__(self, text: str) -> None:
        self.append(text)
