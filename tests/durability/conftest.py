"""One warm process that forks commands, and emulators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.durability.processes import Emulator, ForkServer, compile_library, emulating


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Starts commands quickly; with the fault-injecting library where a compiler is there."""
    folder = tmp_path_factory.mktemp("fork_server")
    server = ForkServer(folder, compile_library("faults", folder))
    yield server
    server.close()


@pytest.fixture
def faulty(fork_server: ForkServer) -> ForkServer:
    """The same, for tests that need injected faults."""
    if not fork_server.has_faults:
        pytest.skip("no C compiler: the fault-injecting library cannot be built")
    return fork_server


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator that answers after 10 ms."""
    with emulating(tmp_path_factory.mktemp("emulator"), "--ttft-ms", "10") as emulator:
        yield emulator


@pytest.fixture
def emulate(tmp_path: Path) -> Callable[..., AbstractContextManager[Emulator]]:
    """Start an emulator with other options."""
    return lambda *arguments: emulating(tmp_path, *arguments)
