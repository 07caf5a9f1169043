"""How long an answer takes: time to the first token, time between tokens."""

from __future__ import annotations

import random

from evalharness.emulator.options import EmulatorOptions


class ResponseTiming:
    """Delays from a generator of their own; ``delay_sigma`` 0 makes them all the same.

    A delay is ``median · exp(sigma · z)`` with z standard normal: lognormal, with the median that
    was set.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        self._ttft_s = options.ttft_ms / 1000
        self._itl_s = options.itl_ms / 1000
        self._sigma = options.delay_sigma
        self._random = random.Random(f"evalharness emulator pace {options.seed}")

    def due(self, tokens: int) -> list[float]:
        """When each token is due, in seconds since generation began; never an empty list."""
        if not self._sigma:
            return [self._ttft_s + i * self._itl_s for i in range(max(1, tokens))]
        at = self._delay(self._ttft_s)
        moments = [at]
        for _ in range(tokens - 1):
            at += self._delay(self._itl_s)
            moments.append(at)
        return moments

    def total(self, tokens: int) -> float:
        """When the last of so many tokens is due."""
        if not self._sigma:
            return self._ttft_s + max(0, tokens - 1) * self._itl_s
        return self.due(tokens)[-1]

    def _delay(self, median_s: float) -> float:
        return median_s * self._random.lognormvariate(0.0, self._sigma)
