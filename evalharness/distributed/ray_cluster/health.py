"""Notices that Ray's own servers have ended, before Ray ends this process for it.

A driver whose raylet or whose control server (GCS) is gone is ended by Ray itself some 15 to 60 s
later, without a word that helps and before anything is recovered.
"""

from __future__ import annotations

import asyncio
import re

_LOOK_EVERY_S = 1.0
# Connections refused or unanswered, one after the other: a busy server misses one.
_MAX_MISSES = 5
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


async def wait_for_raylet_end(socket_path: str) -> str:
    """Wait until the raylet that listens there has ended; returns what happened, in words."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket_path)
    except OSError:
        return _RAYLET_ENDED
    try:
        # It says nothing to a client that has not registered; the end comes when it ends.
        while await reader.read(4096):
            pass
    except OSError:
        pass
    finally:
        writer.close()
    return _RAYLET_ENDED


_RAYLET_ENDED = "Ray on this machine has ended (its raylet is gone)"


async def wait_for_gcs_end(address: str) -> str:
    """Wait until nothing answers at the address of the cluster's control server; says so."""
    host, _, port = address.rpartition(":")
    misses = 0
    while misses < _MAX_MISSES:
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            misses = 0
        except (OSError, TimeoutError):
            misses += 1
        await asyncio.sleep(_LOOK_EVERY_S)
    return f"Ray's control server at {address} does not answer any more"


def plain_first_line(error: BaseException) -> str:
    """The first line of an error of Ray's, without the colours that some of them have.

    Where it only announces a traceback, the last line is added.
    """
    lines = [line for line in _ESCAPES.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    first = lines[0].strip()
    return f"{first} {lines[-1].strip()}" if first.endswith(":") and len(lines) > 1 else first
