"""One Ray for all tests, and the real command against real emulators."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.durability.conftest import emulate, emulator, fork_server
from tests.planning.small_plan import dataset
from tests.store.remote.conftest import s3

__all__ = ["cluster", "dataset", "emulate", "emulator", "fork_server", "s3"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a Ray with 16 processors, of which nothing is left afterwards."""
    with started("ray_head.py") as (address, _):
        yield address


@pytest.fixture(scope="session")
def small_seals() -> Iterator[str]:
    """The address of a Ray whose workers seal every 16 trials."""
    folder = Path(__file__).with_name("small_seals")
    with started("ray_head.py", PYTHONPATH=str(folder)) as (address, _):
        yield address


@pytest.fixture
def two_nodes() -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a Ray of two nodes, and what kills the one that the driver is not on."""
    with started("ray_two_nodes.py") as (address, head):
        assert head.stdin is not None
        assert head.stdout is not None
        stdin, stdout = head.stdin, head.stdout

        def kill() -> None:
            stdin.write(b"\n")
            stdin.flush()
            assert stdout.readline() == b"gone\n"

        yield address, kill


@contextmanager
def started(program: str, **more: str) -> Generator[tuple[str, subprocess.Popen[bytes]]]:
    """A Ray in a process of its own: its address, and the process.

    Args:
        program: that starts it, beside this file.
        more: environment variables of it and of all that it starts.
    """
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    # Whoever connects to it must know the token.
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    command = [sys.executable, str(Path(__file__).with_name(program))]
    environment = {**os.environ, **more}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as head:
        assert head.stdin is not None
        assert head.stdout is not None
        try:
            address = head.stdout.readline().decode().strip()
            assert address, "Ray did not start"
            yield address, head
        finally:
            head.stdin.close()
            head.wait(60)
            patch.undo()
