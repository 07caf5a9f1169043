"""Over-saturation is called where requests come faster than they are answered, and not before."""

from __future__ import annotations

import heapq
import random

from evalharness.runner.benchmark.oversaturation import OversaturationWatch


def verdict(utilisation: float, *, seconds: float = 60, places: int = 16, seed: int = 1) -> bool:
    """What the watch says of a queue with fixed arrivals and times around 1 s."""
    rng = random.Random(seed)
    rate = utilisation * places
    free, ends = [0.0] * places, list[float]()
    tokens: list[tuple[float, float]] = []
    watch = OversaturationWatch(seconds)
    for i in range(round(seconds * rate)):
        at = i / rate
        while ends and ends[0] <= at:
            heapq.heappop(ends)
        begin = max(at, heapq.heappop(free))
        end = begin + rng.lognormvariate(-0.125, 0.5)
        heapq.heappush(free, end)
        heapq.heappush(ends, end)
        watch.observe_sent(at, len(ends))
        heapq.heappush(tokens, (begin + 0.1, at))
        while tokens and tokens[0][0] <= at:
            first, sent = heapq.heappop(tokens)
            watch.observe_answer(sent, first - sent)
        if watch.look(at) is not None:
            return True
    return False


def test_a_server_that_keeps_up_is_left_alone() -> None:
    assert not any(verdict(0.9, seed=seed) for seed in range(20))


def test_a_server_that_falls_behind_is_noticed_before_the_end() -> None:
    assert all(verdict(1.3, seed=seed) for seed in range(20))


def test_few_requests_say_nothing() -> None:
    watch = OversaturationWatch(10)
    for i in range(90):
        watch.observe_sent(i / 9, i)
        watch.observe_answer(i / 9, float(i))
    assert watch.growth() is None
