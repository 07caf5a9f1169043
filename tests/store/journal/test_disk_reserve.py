"""The reserve: as large as what may be in flight, and given back whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.errors import StorageError
from evalharness.store.journal.disk_reserve import DiskReserve


def blocks(path: Path) -> int:
    """Bytes that a file really takes."""
    return path.stat().st_blocks * 512


@settings(max_examples=50, deadline=None)
@given(
    in_flight=st.integers(1, 20),
    batches=st.lists(st.lists(st.integers(1, 400_000), max_size=8), max_size=12),
)
def test_there_is_room_for_the_largest_entries_seen(
    tmp_path_factory: pytest.TempPathFactory, in_flight: int, batches: list[list[int]]
) -> None:
    """Once as many were seen as may be in flight, the largest of them would fit; blocks are real."""
    path = tmp_path_factory.mktemp("reserve") / "reserve.bin"
    reserve = DiskReserve(path, 100_000)
    reserve.allocate()
    reserve.expect(in_flight, 10_000)
    seen: list[int] = []
    for batch in batches:
        assert reserve.grow_for(batch)
        seen += batch
        if len(seen) >= in_flight:
            assert blocks(path) >= sum(sorted(seen)[-in_flight:])
    assert blocks(path) >= reserve.size >= max(100_000, in_flight * 10_000)
    assert reserve.release()
    assert not reserve.release()


def test_no_room_is_said_and_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything was sent it is an error; later the reserve there is stays as it is."""
    path = tmp_path / "reserve.bin"
    reserve = DiskReserve(path, 64 * 1024)
    reserve.allocate()
    allocate = os.posix_fallocate

    def full(fd: int, offset: int, length: int) -> None:
        allocate(fd, offset, 200_000)  # some of it, and then the disk is full
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="no room for the 110 MiB reserve"):
        reserve.expect(100, 2**20)
    assert blocks(path) == path.stat().st_size == reserve.size == 64 * 1024
    # One answer of unusual size among the first few stops nothing; when most are so, it must.
    assert reserve.grow_for([10_000_000])
    assert not reserve.grow_for([10_000_000] * 20)
    assert blocks(path) == path.stat().st_size == 64 * 1024
