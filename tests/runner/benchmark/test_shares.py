"""Several workers, each with its share, send what one process would have sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalharness.config.models import LoadConfig
from evalharness.planning.load_points import group_by_load_point, load_from_identity
from evalharness.runner.benchmark.point import LoadPointTask, load_point_plan
from evalharness.runner.benchmark.point_plan import LoadShare
from evalharness.store.folder.load_points_file import Measurement
from tests.runner.benchmark.virtual_benchmark import VirtualBenchmark

ROWS = [{"id": f"r{i}", "prompt": f"Say {i}.", "at": i * i / 10} for i in range(11)]


async def sent(folder: Path, load: dict[str, Any], share: LoadShare) -> VirtualBenchmark:
    bench = VirtualBenchmark(folder, load, ROWS, repeats=1)
    runner, unused = bench.start(bench.server(0.3))
    unused.close()
    settings = group_by_load_point(bench.plan.settings)[0]
    identity = load_from_identity(settings[0].load, bench.config.load or LoadConfig())
    bench.measurement = Measurement(number=1, settings=[], load=settings[0].load)
    plan = load_point_plan(bench.plan, LoadPointTask(identity, settings, 0), share)
    await bench.clock.run(runner.measure(plan, bench.measurement))
    return bench


def requests(bench: VirtualBenchmark) -> list[tuple[float, str, Any]]:
    anchor = bench.measurement.anchor_ns or 0
    return [
        (round((r.scheduled_at_ns - anchor) / 1e9, 6), r.intent.trial_id, r.intent.phase)
        for r in bench.disk.results
        if r.final
    ]


@pytest.mark.parametrize(
    "load",
    [
        {"arrival": "constant", "rate": 20, "duration_s": 2, "warmup_s": 1},
        {"arrival": "poisson", "rate": 30, "requests": 50, "warmup_requests": 7},
        {"arrival": "gamma", "rate": 30, "burstiness": 0.4, "requests": 23},
        {"arrival": "ramp", "rate": 30, "start_rate": 2, "duration_s": 3},
        {"arrival": "replay", "column": "at", "speed": 2},
    ],
)
async def test_shares_of_an_open_loop_are_its_schedule(
    tmp_path: Path, load: dict[str, Any]
) -> None:
    """The same trials at the same instants in the same phases, and each worker knows the window."""
    whole = await sent(tmp_path, load, LoadShare())
    shares = [await sent(tmp_path, load, LoadShare(k, 3)) for k in range(3)]
    together = sorted(request for share in shares for request in requests(share))
    assert together == sorted(requests(whole))
    assert len({len(requests(share)) for share in shares}) <= 2  # as even as can be
    for share in shares:
        assert share.measurement.scheduled == whole.measurement.scheduled
        assert share.measurement.begin_s == whole.measurement.begin_s
        assert share.measurement.end_s == whole.measurement.end_s


async def test_shares_of_a_closed_loop_are_its_places_and_its_requests(tmp_path: Path) -> None:
    load = {"arrival": "closed", "concurrency": 7, "requests": 40, "warmup_requests": 8}
    shares = [await sent(tmp_path, load, LoadShare(k, 3)) for k in range(3)]
    assert sum(share.measurement.scheduled for share in shares) == 40
    assert sum(len(requests(share)) for share in shares) == 48
    assert len({trial for share in shares for _, trial, _ in requests(share)}) == 48
    places = [max(r.intent.in_flight for r in share.disk.results) for share in shares]
    assert places == [3, 2, 2]
