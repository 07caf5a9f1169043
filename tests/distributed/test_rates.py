"""The line that shows the workers."""

from __future__ import annotations

from evalharness.distributed.messages import Counted
from evalharness.distributed.progress_counters import Rates


def test_every_worker_that_lives_is_shown_with_its_own_rate() -> None:
    rates = Rates(100.0)
    both = ["worker-0001", "worker-0002"]
    first = rates.told({"worker-0001": Counted(finished=50)}, both, 100.5)
    assert first == "2 workers (100 - /s)"
    second = {"worker-0001": Counted(finished=0), "worker-0002": Counted(finished=30)}
    assert rates.told(second, both, 101.5) == "2 workers (0 30 /s)"


def test_a_dead_worker_goes_and_its_heir_comes() -> None:
    rates = Rates(0.0)
    rates.told({"worker-0001": Counted(finished=5)}, ["worker-0001"], 1.0)
    heirs = ["worker-0003"]
    assert rates.told({"worker-0003": Counted(finished=7)}, heirs, 2.0) == "1 worker (7 /s)"


def test_two_messages_at_once_are_no_rate() -> None:
    rates = Rates(0.0)
    assert rates.told({"w": Counted(finished=3)}, ["w"], 0.0) == "1 worker (30 /s)"
