"""Each benchmark does the work it times: counts are asserted, never times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import concurrency, functions, memory, sealing, startup, throughput, transports
from benchmarks.nginx import canned_server, find_nginx
from evalharness.store.parts import seal


@pytest.fixture
def server() -> Iterator[str]:
    """nginx with a canned answer."""
    if find_nginx() is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    with canned_server() as base_url:
        yield base_url


def test_throughput_records_every_trial(tmp_path: Path, server: str) -> None:
    """The plan is whole on disk, and the bare loop beside it ran."""
    got = throughput.measure(tmp_path, server, trials=400, concurrency=16)
    assert got.trials == 400
    assert got.bytes_each > 0
    assert got.ratio > 0


def test_a_function_and_a_server_get_the_same_plan(tmp_path: Path, server: str) -> None:
    """Both are whole on disk."""
    got = functions.measure(tmp_path, server, trials=400, concurrency=16)
    assert got.trials == 400
    assert got.ratio > 0


def test_concurrency_is_seen_by_the_server(tmp_path: Path) -> None:
    """As many requests as trials, never more in flight than allowed, and the run notes its lag."""
    got = concurrency.unstreamed(tmp_path, concurrency=20, trials=200)
    assert got.trials == 200
    assert 0 < got.share_in_flight <= 1
    assert got.session["sent"] == got.session["recorded"] == 200
    assert got.session["commit_wait_s"]["n"] == 200
    assert got.session["loop_lag_s"]["n"] > 0


def test_every_chunk_time_is_after_the_chunk_was_written(tmp_path: Path) -> None:
    """Chunks are counted, and none is recorded as having come before the server wrote it."""
    got = concurrency.streamed(tmp_path, concurrency=10, trials=200, chunks=5)
    assert got.chunks == 1000
    assert got.p50 > 0


@pytest.mark.parametrize("kind", transports.KINDS)
def test_every_transport_sends_all(server: str, kind: transports.Kind) -> None:
    """Each alone: all requests are answered, and every chunk is noted after it was written."""
    assert len(transports.whole(kind, server, 60, 6).exchanges) == 60
    sent, late = transports.streamed(kind, 20, 5, chunks=4)
    assert len(sent.exchanges) == 20
    assert len(late) == 80
    assert min(late) > 0


def test_parts_are_sealed_while_the_run_goes_on(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several parts hold every row; left to the end there is one."""
    monkeypatch.setattr(seal, "SEAL_TRIALS", 100)
    assert sum((found := sealing.run_once(tmp_path, server, 600, 8, "sealed")).rows) == 600
    assert len(found.rows) > 1
    with sealing.left_to_the_end():
        assert sealing.run_once(tmp_path, server, 600, 8, "late").rows == [600]
    assert seal.SEAL_TRIALS == 100


def test_parts_are_smaller_than_json_lines(tmp_path: Path) -> None:
    """The same records, written twice: the parts take at most the promised share."""
    assert 0 < sealing.share_of_jsonl(tmp_path, 1_000) <= 0.3


def test_memory_is_measured_in_a_process_of_its_own(server: str) -> None:
    """A run ends whole and tells its peak."""
    small = memory.peaks_of(server, 200, 8)
    assert small.run > 0
    assert small.helper == 0, "200 trials fill no part"


def test_commands_start_and_do_what_is_timed(tmp_path: Path) -> None:
    """Help lists the commands, the plan has every trial, a request arrives, runs are listed."""
    assert startup.help_once(tmp_path).cpu_s > 0
    assert startup.plan_once(tmp_path, prompts=20).cpu_s > 0
    assert startup.first_request_once(tmp_path).wall_s > 0
    assert startup.list_once(tmp_path, runs=3).cpu_s > 0
