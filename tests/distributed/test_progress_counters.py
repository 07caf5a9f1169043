"""The line that shows the workers."""

from __future__ import annotations

from evalharness.distributed.messages import CounterDelta
from evalharness.distributed.progress_counters import WorkerRates


def test_every_worker_that_lives_is_shown_with_its_own_rate() -> None:
    rates = WorkerRates(100.0)
    both = ["worker-0001", "worker-0002"]
    first = rates.update({"worker-0001": CounterDelta(finished=50)}, both, 100.5)
    assert first == "2 workers (100 - /s)"
    second = {"worker-0001": CounterDelta(finished=0), "worker-0002": CounterDelta(finished=30)}
    assert rates.update(second, both, 101.5) == "2 workers (0 30 /s)"


def test_a_dead_worker_goes_and_its_heir_comes() -> None:
    rates = WorkerRates(0.0)
    rates.update({"worker-0001": CounterDelta(finished=5)}, ["worker-0001"], 1.0)
    heirs = ["worker-0003"]
    assert rates.update({"worker-0003": CounterDelta(finished=7)}, heirs, 2.0) == "1 worker (7 /s)"


def test_two_messages_at_once_are_no_rate() -> None:
    rates = WorkerRates(0.0)
    assert rates.update({"w": CounterDelta(finished=3)}, ["w"], 0.0) == "1 worker (30 /s)"
