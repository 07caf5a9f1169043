"""Pacing in virtual time: what is sent when, whatever the server does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from evalharness.analysis.load.load_facts import LoadError
from evalharness.records import Outcome
from evalharness.runner import StopReason
from evalharness.runner.benchmark.arrivals import arrivals
from evalharness.runner.benchmark.load_point import LEAD_S
from evalharness.store.folder.load_points_file import MeasurementState
from tests.runner.benchmark.virtual_benchmark import TOKENS, VirtualBenchmark

CONSTANT = {"arrival": "constant", "rate": 10.0, "requests": 60}


@pytest.mark.parametrize(
    "load",
    [
        {"arrival": "constant", "rate": 10.0, "requests": 50},
        {"arrival": "poisson", "rate": 10.0, "requests": 50, "seed": 7},
        {"arrival": "gamma", "rate": 10.0, "burstiness": 0.3, "duration_s": 5.0},
        {"arrival": "ramp", "start_rate": 1.0, "rate": 20.0, "duration_s": 5.0},
    ],
)
async def test_an_open_loop_sends_when_it_is_due_however_slow_the_server(
    tmp_path: Path, load: dict[str, object]
) -> None:
    """A server a hundred times slower than the schedule changes no instant of it."""
    bench = VirtualBenchmark(tmp_path, load)
    server = bench.server(service_s=10.0, workers=1)
    found = (await bench.run(server)).facts
    schedule = arrivals(bench.config.load)  # pyright: ignore
    wanted = [at for at, _ in zip(schedule, server.received, strict=False)]
    assert np.allclose(np.array(server.received) - LEAD_S, wanted, atol=1e-9)
    sent = [r for r in bench.disk.results if r.reply.sent_at_ns is not None]
    scheduled = [r.scheduled_at_ns - bench.measurement.anchor_ns for r in sent]  # pyright: ignore
    assert np.allclose(np.sort(scheduled) / 1e9, wanted, atol=1e-6)
    assert found.achieved_rate == found.requested_rate
    assert found.valid
    assert found.requests.sent == len(server.received)
    assert bench.measurement.state is MeasurementState.COMPLETE


async def test_a_queue_in_front_of_the_server_shows_from_schedule_and_not_from_sending(
    tmp_path: Path,
) -> None:
    """Coordinated omission: one place in flight, ten requests a second, each takes 0.2 s."""
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "concurrency": 1, "max_behind_s": 60.0})
    found = (await bench.run(bench.server(0.2))).facts
    assert found.latency_s.sent.p50 == pytest.approx(0.2, abs=1e-6)
    assert found.latency_s.sent.max == pytest.approx(0.2, abs=1e-6)
    # The i-th of 60 waits 0.1·i: 3.15 s in the median, 6.1 s at the end.
    assert found.latency_s.scheduled.p50 == pytest.approx(3.15, abs=0.01)
    assert found.latency_s.scheduled.max == pytest.approx(6.1, abs=0.01)
    assert found.ttft_s.sent.p95 == pytest.approx(0.1, abs=1e-6)
    assert found.ttft_s.scheduled.p95 > 5
    assert not found.valid
    assert "before it had a place in flight" in found.invalid[0]
    assert found.achieved_rate < 0.6 * found.requested_rate
    assert found.schedule_delay_s.max == pytest.approx(5.9, abs=0.01)


async def test_a_queue_inside_the_server_shows_from_both(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, CONSTANT)
    found = (await bench.run(bench.server(0.2, workers=1))).facts
    for latency in (found.latency_s.sent, found.latency_s.scheduled):
        assert latency.p50 == pytest.approx(3.15, abs=0.01)
    assert found.valid
    assert found.throughput_per_s == pytest.approx(5, abs=0.2)


async def test_warm_up_hands_over_without_draining(tmp_path: Path) -> None:
    """At the first measured request the load is up: nothing was waited for in between."""
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "warmup_requests": 30})
    server = bench.server(1.0)
    found = await bench.run(server)
    assert np.allclose(np.diff(server.received), 0.1)
    first = min(
        (r for r in bench.disk.results if r.intent.phase == "measured"),
        key=lambda r: r.scheduled_at_ns,
    )
    assert first.intent.in_flight == 10  # 10/s × 1 s, by Little's law
    assert found.facts.concurrency.mean == pytest.approx(10, abs=0.05)
    assert found.facts.throughput_per_s == pytest.approx(10, abs=0.2)
    assert found.facts.output_tokens_per_s == pytest.approx(10 * TOKENS, abs=2)
    assert found.facts.requests.warmup == 30
    assert found.facts.latency_s.sent.n == 60
    assert len(bench.disk.results) == 90


async def test_a_closed_loop_keeps_its_requests_in_flight(tmp_path: Path) -> None:
    load = {"arrival": "closed", "concurrency": 4, "requests": 40, "warmup_requests": 8}
    bench = VirtualBenchmark(tmp_path, load)
    server = bench.server(0.5)
    found = (await bench.run(server)).facts
    assert server.max_in_flight == 4
    assert found.concurrency.mean == pytest.approx(4, abs=0.01)
    assert found.throughput_per_s == pytest.approx(8, abs=0.1)
    assert found.requested_rate is None
    assert found.window_s == pytest.approx(5, abs=0.01)
    assert found.valid
    assert len(server.received) == 48


async def test_a_timer_that_rings_early_makes_no_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event loop may wake a waiter up to a millisecond before its time."""
    bench = VirtualBenchmark(tmp_path, {"arrival": "closed", "concurrency": 2, "requests": 12})
    wait_for = bench.clock.wait_for
    rung = False

    async def early(event: asyncio.Event, timeout_s: float | None) -> bool:
        nonlocal rung
        if timeout_s is None or rung:
            return await wait_for(event, timeout_s)
        rung = True
        return await wait_for(event, timeout_s - 0.001)

    monkeypatch.setattr(bench.clock, "wait_for", early)
    found = (await bench.run(bench.server(0.5))).facts
    assert rung
    assert found.requests.warmup == 0
    assert {r.intent.phase for r in bench.disk.results} == {"measured"}


async def test_a_closed_loop_ends_by_time_and_says_what_it_did_not_send(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, {"arrival": "closed", "concurrency": 2, "duration_s": 3.0})
    server = bench.server(0.5)
    found = (await bench.run(server)).facts
    assert len(server.received) == 12
    assert found.window_s == 3.0
    unsent = [r for r in bench.disk.results if r.reply.outcome is Outcome.NOT_SENT]
    assert found.requests.not_sent == len(unsent) > 0
    # Every intent has a result: nothing is left in doubt, and nothing is promised twice.
    settled = {(r.intent.trial_id, r.intent.attempt) for r in bench.disk.results}
    assert settled == {(i.trial_id, i.attempt) for i in bench.disk.intents}
    assert len(settled) == len(bench.disk.results)


async def test_prompts_come_again_as_further_repeats(tmp_path: Path) -> None:
    """More requests than prompts × repeats: every trial stays one of its kind."""
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "requests": 23}, sweep={"temperature": [0, 1]})
    await bench.run(bench.server(0.01))
    trials = {r.intent.trial_id for r in bench.disk.results}
    keys = {(r.intent.prompt_id, r.intent.setting_id, r.intent.repeat) for r in bench.disk.results}
    assert len(trials) == len(keys) == 23
    assert {r.intent.repeat for r in bench.disk.results} == {0, 1, 2}
    assert len({r.intent.setting_id for r in bench.disk.results if r.intent.repeat == 0}) == 2


async def test_refusals_are_rows_of_their_own_and_nothing_is_tried_again(tmp_path: Path) -> None:
    """Every third request is rate-limited: counted, in the denominator, in no latency."""
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "slo": {"latency_s": 1.0}})
    server = bench.server(0.3, status_of=lambda number: 429 if number % 3 == 0 else 200)
    found = (await bench.run(server)).facts
    assert len(server.received) == 60
    assert np.allclose(np.diff(server.received), 0.1)  # a 429 pauses nobody
    assert found.errors == [LoadError(error_kind="rate_limited", http_status=429, attempts=20)]
    assert found.requests.failed == 20
    assert found.requests.retries == 0
    assert found.latency_s.sent.n == 40
    assert found.latency_s.sent.p50 == pytest.approx(0.3, abs=1e-6)
    assert found.goodput.share == pytest.approx(2 / 3)
    assert found.goodput.per_s == pytest.approx(40 / 6)


async def test_retries_are_counted_and_count_from_the_first_schedule(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "requests": 30, "max_attempts": 3})
    server = bench.server(0.3, status_of=lambda number: 503 if number == 0 else 200)
    found = (await bench.run(server)).facts
    assert len(server.received) == 31
    assert found.requests.retries == 1
    assert found.requests.failed == 0
    assert found.requests.delivered == 30
    assert found.latency_s.sent.max == pytest.approx(0.3, abs=1e-6)
    retried = next(r for r in bench.disk.results if r.intent.attempt == 2)
    wait = next(r for r in bench.disk.results if r.intent.attempt == 1 and not r.final).backoff_s
    assert wait is not None
    assert retried.final
    assert found.latency_s.scheduled.max == pytest.approx(0.3 + wait, abs=1e-5)


async def test_too_many_errors_end_a_load_point(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "max_error_share": 0.5})
    server = bench.server(0.05, status_of=lambda number: 200 if number in (0, 5) else 500)
    found = (await bench.run(server)).facts
    assert bench.measurement.state is MeasurementState.CUT
    assert "of 20 requests failed" in str(bench.measurement.reason)
    assert 20 <= len(server.received) < 25
    assert found.window_s < 3


async def test_falling_behind_ends_a_load_point(tmp_path: Path) -> None:
    load = {**CONSTANT, "requests": 1000, "concurrency": 2, "max_behind_s": 2.0}
    bench = VirtualBenchmark(tmp_path, load)
    found = (await bench.run(bench.server(1.0))).facts
    assert bench.measurement.state is MeasurementState.CUT
    assert str(bench.measurement.reason).startswith("saturated: a request waited 2 s for one of 2")
    assert bench.measurement.end_s is not None
    assert bench.measurement.end_s < 5
    assert not found.valid
    assert found.requests.not_sent > 10


async def test_stopping_lets_what_is_in_flight_finish(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, {**CONSTANT, "requests": 1000})
    server = bench.server(1.0)
    runner, work = bench.start(server)

    async def stopped_after_three_seconds() -> None:
        task = asyncio.ensure_future(work)
        await bench.clock.sleep_until(3.0)
        runner.stop(StopReason("enough", 130, "interrupted"))
        await task

    await bench.clock.run(stopped_after_three_seconds())
    assert bench.measurement.state is MeasurementState.INTERRUPTED
    assert 29 <= len(server.received) <= 30
    delivered = [r for r in bench.disk.results if r.reply.outcome is Outcome.DELIVERED]
    assert len(delivered) == len(server.received)


async def test_a_replay_sends_each_row_at_its_time(tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "prompt": "x", "at": at} for i, at in enumerate([3, 3.5, 7, 7])]
    load = {"arrival": "replay", "column": "at", "speed": 2.0}
    bench = VirtualBenchmark(tmp_path, load, rows, repeats=1)
    server = bench.server(0.1)
    await bench.run(server)
    assert np.allclose(np.array(server.received) - LEAD_S, [0, 0.25, 2, 2])
    asked = [
        r.intent.prompt_id for r in sorted(bench.disk.results, key=lambda r: r.scheduled_at_ns)
    ]
    assert asked[:2] == ["r0", "r1"]


async def test_fewer_requests_than_places_never_hold_a_load(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, {"arrival": "closed", "concurrency": 8, "requests": 4})
    found = (await bench.run(bench.server(0.5))).facts
    assert found.throughput_per_s is None
    assert not found.valid


@pytest.mark.parametrize("requests", range(9, 25))
async def test_a_closed_loop_sends_all_it_was_asked_for(tmp_path: Path, requests: int) -> None:
    """Whoever finds no more work does not end the load for one that has the last in hand."""
    bench = VirtualBenchmark(
        tmp_path, {"arrival": "closed", "concurrency": 3, "requests": requests}
    )
    server = bench.server(0.0)
    found = (await bench.run(server)).facts
    assert len(server.received) == requests == found.requests.delivered
    assert found.requests.not_sent == 0
