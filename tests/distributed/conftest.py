"""One Ray for all tests, and the real command against real emulators."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.conftest import emulate, emulator, zygote
from tests.remote.conftest import s3

__all__ = ["cluster", "emulate", "emulator", "s3", "zygote"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a Ray with 16 processors, of which nothing is left afterwards."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    # Whoever connects to it must know the token.
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    command = [sys.executable, str(Path(__file__).with_name("head.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as head:
        assert head.stdin is not None
        assert head.stdout is not None
        address = head.stdout.readline().decode().strip()
        assert address, "Ray did not start"
        yield address
        head.stdin.close()
        head.wait(60)
    patch.undo()
