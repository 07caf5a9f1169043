"""How often a load point is called over-saturated, of queues that are and are not.

``python -m benchmarks.oversaturation [--runs 200] [--requests 300]`` simulates queues of so many
workers with lognormal times at a share of what they can do, watched as ``load=sweep`` watches a
server: ten looks at a load point, after a warm-up of 15 %. The exit code is 1 where, with constant
arrivals, a server at 80 % is ever called over-saturated, or one at 150 % is missed in more than one
of twenty points.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from typing import NamedTuple

from evalharness.runner.benchmark.oversaturation import OversaturationWatch

SHARES = (0.5, 0.8, 0.9, 0.95, 1.1, 1.2, 1.5)
_WARMUP, _FIRST_TOKEN = 0.15, 0.1  # of the requests; of an answer's time


class Queue(NamedTuple):
    """Workers that each take about a second for an answer."""

    workers: int
    sigma: float
    arrivals: str

    @property
    def name(self) -> str:
        """The queue in words."""
        plural = "" if self.workers == 1 else "s"
        return f"{self.workers} worker{plural}, sigma {self.sigma:g}, {self.arrivals}"


QUEUES = (
    Queue(4, 0.5, "constant"),
    Queue(16, 0.5, "constant"),
    Queue(64, 0.5, "constant"),
    Queue(1, 1.0, "poisson"),
    Queue(16, 0.5, "poisson"),
    Queue(64, 0.5, "poisson"),
)


def is_called(queue: Queue, share: float, requests: int, rng: random.Random) -> bool:
    """Whether a load point is called over-saturated before its end."""
    rate = share * queue.workers
    free, ends = [0.0] * queue.workers, list[float]()
    tokens: list[tuple[float, float]] = []
    begin, at = _WARMUP * requests / rate, 0.0
    watch = OversaturationWatch(requests / rate)
    while at < begin + requests / rate:
        while ends and ends[0] <= at:
            heapq.heappop(ends)
        start = max(at, heapq.heappop(free))
        end = start + rng.lognormvariate(-(queue.sigma**2) / 2, queue.sigma)
        heapq.heappush(free, end)
        heapq.heappush(ends, end)
        if at >= begin:
            watch.observe_sent(at, len(ends))
            heapq.heappush(tokens, (start + _FIRST_TOKEN, at))
        while tokens and tokens[0][0] <= at:
            first, sent = heapq.heappop(tokens)
            watch.observe_answer(sent, first - sent)
        if watch.look(at) is not None:
            return True
        at += 1 / rate if queue.arrivals == "constant" else rng.expovariate(rate)
    return False


def main() -> int:
    """Print the table; 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    print(f"| queue | {' | '.join(f'{share:.0%}' for share in SHARES)} |")
    print(f"|---|{'---:|' * len(SHARES)}")
    holds = True
    for queue in QUEUES:
        calls: dict[float, float] = {}
        for share in SHARES:
            seeds = (f"{queue.name} {share} {run}" for run in range(options.runs))
            called = sum(
                is_called(queue, share, options.requests, random.Random(seed)) for seed in seeds
            )
            calls[share] = called / options.runs
        print(f"| {queue.name} | {' | '.join(f'{100 * c:.0f} %' for c in calls.values())} |")
        constant = queue.arrivals == "constant"
        holds &= not (constant and calls[0.8] > 0) and (not constant or calls[1.5] >= 0.95)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
