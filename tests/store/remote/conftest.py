"""Results roots by URL: a real S3 server where there is one, else a shared path."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.durability.conftest import emulate, emulator, fork_server
from tests.store.remote.s3 import serving_s3, weed

__all__ = ["emulate", "emulator", "fork_server"]
_numbers = count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A URL with a place for a folder in it."""
    with serving_s3(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A results root of the test's own; parametrise it with ``file`` or ``s3`` to choose."""
    kind = getattr(request, "param", "file" if weed() is None else "s3")
    if kind == "file":
        return f"file://{tmp_path}/shared/results"
    return str(request.getfixturevalue("s3")).format(f"results-{next(_numbers)}")
