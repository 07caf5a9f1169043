"""One warm process that forks commands, and emulators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.durability.processes import Emulator, Zygote, compile_faults, emulating


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Starts commands quickly; with the fault-injecting library where a compiler is there."""
    folder = tmp_path_factory.mktemp("zygote")
    one = Zygote(folder, compile_faults(folder))
    yield one
    one.close()


@pytest.fixture
def faulty(zygote: Zygote) -> Zygote:
    """The same, for tests that need injected faults."""
    if not zygote.has_faults:
        pytest.skip("no C compiler: the fault-injecting library cannot be built")
    return zygote


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator that answers after 10 ms."""
    with emulating(tmp_path_factory.mktemp("emulator"), "--ttft-ms", "10") as one:
        yield one


@pytest.fixture
def emulate(tmp_path: Path) -> Callable[..., AbstractContextManager[Emulator]]:
    """Start an emulator with other options."""
    return lambda *arguments: emulating(tmp_path, *arguments)
