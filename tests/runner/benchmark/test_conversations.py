"""Conversations in virtual time: sessions arrive by the schedule, turns follow their answers."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from evalharness.config.models import LoadConfig, ThinkConfig
from evalharness.records import AttemptResult, Outcome
from evalharness.runner.benchmark.load_point import LEAD_S
from evalharness.runner.benchmark.think_times import think_time_s
from evalharness.store.folder.load_points_file import MeasurementState
from tests.runner.benchmark.virtual_benchmark import VirtualBenchmark

TURNS = 3
ROWS: list[dict[str, Any]] = [
    {"id": f"c{i}", "turns": [f"{i}, {k}?" for k in range(1, TURNS + 1)]} for i in range(4)
]


def sessions(bench: VirtualBenchmark) -> list[list[AttemptResult]]:
    """What was sent, by conversation and repeat, its turns in the order of sending."""
    found: dict[tuple[str, int], list[AttemptResult]] = {}
    for result in bench.disk.results:
        if result.reply.outcome is not Outcome.NOT_SENT:
            name = result.intent.prompt_id.partition(".")[0]
            found.setdefault((name, result.intent.repeat), []).append(result)
    return list(found.values())


def seconds(bench: VirtualBenchmark, result: AttemptResult) -> float:
    assert bench.measurement.anchor_ns is not None
    return (result.scheduled_at_ns - bench.measurement.anchor_ns) / 1e9


async def test_sessions_arrive_by_the_schedule_and_turns_follow_think_time(tmp_path: Path) -> None:
    """The instants of an open loop are those of first turns, however long conversations last."""
    load = {"arrival": "constant", "rate": 2.0, "sessions": 12, "think_s": 1.5}
    bench = VirtualBenchmark(tmp_path, load, ROWS)
    found = await bench.run(bench.server(0.5))
    by_session = sessions(bench)
    assert [len(turns) for turns in by_session] == [TURNS] * 12
    begins = sorted(seconds(bench, turns[0]) for turns in by_session)
    assert np.allclose(begins, np.arange(12) / 2)
    for turns in by_session:
        assert [t.intent.prompt_id[-1] for t in turns] == ["1", "2", "3"]
        for before, after in pairwise(turns):
            assert seconds(bench, after) - seconds(bench, before) == pytest.approx(0.5 + 1.5)
            assert before.queue_s == pytest.approx(0.0, abs=1e-6)
    assert bench.measurement.sessions == 12
    assert bench.measurement.scheduled == 12 * TURNS
    assert bench.measurement.arrivals_end_s == pytest.approx(6.0)
    assert bench.measurement.end_s == pytest.approx(5.5 + 2 * 2.0 + 0.5)
    assert bench.measurement.state is MeasurementState.COMPLETE
    assert found.facts.valid, found.facts.invalid


async def test_a_turn_holds_the_answers_before_it(tmp_path: Path) -> None:
    load = {"arrival": "closed", "concurrency": 2, "sessions": 4}
    bench = VirtualBenchmark(tmp_path, load, ROWS)
    await bench.run(bench.server(0.5))
    for turns in sessions(bench):
        for number, turn in enumerate(turns):
            assert turn.body is not None
            roles = [m["role"] for m in json.loads(turn.body)["messages"]]
            assert roles == [*(["user", "assistant"] * number), "user"]


async def test_a_closed_loop_keeps_sessions_in_flight(tmp_path: Path) -> None:
    """A session keeps its place while its user thinks; another one begins when it has ended."""
    load = {"arrival": "closed", "concurrency": 3, "sessions": 9, "think_s": 2.0}
    bench = VirtualBenchmark(tmp_path, load, ROWS)
    found = (await bench.run(bench.server(1.0))).facts
    begins = sorted(seconds(bench, turns[0]) for turns in sessions(bench))
    lasts = 3 * 1.0 + 2 * 2.0
    assert np.allclose(begins, np.repeat([0, lasts, 2 * lasts], 3), atol=1e-6)
    assert found.window_s == pytest.approx(3 * lasts)
    assert found.requests.scheduled == found.requests.delivered == 27
    assert found.valid, found.invalid  # fewer requests in flight than sessions is no fault


async def test_time_ends_conversations_and_nothing_is_due_after_it(tmp_path: Path) -> None:
    load = {"arrival": "constant", "rate": 1.0, "duration_s": 10.0, "warmup_s": 5.0, "think_s": 3.0}
    bench = VirtualBenchmark(tmp_path, load, ROWS)
    found = (await bench.run(bench.server(0.5))).facts
    assert bench.clock.monotonic() < LEAD_S + 15.0 + 1.0  # nobody waited for what is not sent
    sent = [r for turns in sessions(bench) for r in turns]
    assert max(seconds(bench, r) for r in sent) < 15.0
    phases: dict[str, list[float]] = {"warmup": [], "measured": []}
    for result in sent:
        phases[str(result.intent.phase)].append(seconds(bench, result))
    assert max(phases["warmup"]) < 5.0 <= min(phases["measured"])
    assert (found.window_s, bench.measurement.sessions) == (10.0, 10)
    # Later turns of conversations that began during warm-up are load of the window as well.
    assert found.requests.sent == found.requests.scheduled == len(phases["measured"]) > 25


async def test_a_failed_turn_ends_its_conversation(tmp_path: Path) -> None:
    load = {"arrival": "closed", "concurrency": 1, "sessions": 4}
    bench = VirtualBenchmark(tmp_path, load, ROWS)
    await bench.run(bench.server(0.5, status_of=lambda number: 500 if number == 4 else 200))
    assert [len(turns) for turns in sessions(bench)] == [3, 2, 3, 3]
    assert bench.measurement.scheduled == 11


async def test_an_interrupt_sends_no_further_turn(tmp_path: Path) -> None:
    load = {"arrival": "closed", "concurrency": 2, "sessions": 4, "think_s": 60.0}
    bench = VirtualBenchmark(tmp_path, load, ROWS)
    runner, work = bench.start(bench.server(0.5))

    async def stop_in_the_middle() -> None:
        import asyncio

        from evalharness.runner import StopReason

        measuring = asyncio.ensure_future(work)
        await bench.clock.sleep_until(5.0)
        runner.stop(StopReason("enough", 130, "interrupted"))
        await measuring

    await bench.clock.run(stop_in_the_middle())
    assert bench.clock.monotonic() < 10.0
    assert bench.measurement.state is MeasurementState.INTERRUPTED
    settled = {(r.intent.trial_id, r.intent.attempt) for r in bench.disk.results}
    assert settled == {(i.trial_id, i.attempt) for i in bench.disk.intents}


def test_think_times_have_their_distribution_and_follow_from_the_seed(tmp_path: Path) -> None:
    bench = VirtualBenchmark(tmp_path, {"arrival": "closed", "sessions": 1}, ROWS)
    (setting,) = bench.plan.settings
    first = next(bench.plan.round_trials([setting], 0))
    turns = [structs.replace(first, repeat=repeat) for repeat in range(20_000)]

    def times(seed: int = 0, **think: Any) -> np.ndarray[Any, Any]:
        load = LoadConfig(seed=seed, think_s=ThinkConfig(mean_s=4.0, **think))
        return np.array([think_time_s(load, turn) for turn in turns])

    exponential = times(distribution="exponential")
    assert exponential.mean() == pytest.approx(4.0, rel=0.03)
    assert exponential.std() == pytest.approx(4.0, rel=0.05)
    lognormal = times(distribution="lognormal", cv=0.5)
    assert lognormal.mean() == pytest.approx(4.0, rel=0.02)
    assert lognormal.std() == pytest.approx(2.0, rel=0.05)
    assert np.median(lognormal) == pytest.approx(4.0 / np.sqrt(1.25), rel=0.02)
    assert set(times()) == {4.0}
    assert times(distribution="exponential", max_s=6.0).max() == 6.0
    assert np.array_equal(exponential, times(distribution="exponential"))
    assert not np.array_equal(exponential, times(seed=1, distribution="exponential"))
    assert think_time_s(LoadConfig(think_s=2), first) == 2
    assert think_time_s(LoadConfig(), first) == 0
