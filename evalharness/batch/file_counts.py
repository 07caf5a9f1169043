"""How many files a plan becomes, before any is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from evalharness.batch.checks import line_overhead, token_guess
from evalharness.batch.open_batch import QueueKey
from evalharness.config.models import BatchRules, ProviderConfig
from evalharness.planning.estimate.request_sizes import RequestShapes
from evalharness.planning.plan import Plan


class BatchFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of requests of a plan: one or more for each model, by the provider's limits.

    Attributes:
        files: how many, at least.
        is_exact: whether there are no more than that: how the requests fall into files of limited
            bytes or tokens is only known when they are written.
        requests: in all of them.
        bytes: of all of them, about: the lines of repeated attempts differ by a few.
    """

    files: int
    is_exact: bool
    requests: int
    bytes: int


@dataclass
class _Sizes:
    """The requests of one model so far."""

    requests: int = 0
    bytes: int = 0
    tokens: int = 0
    longest: int = 0

    def add(self, times: int, line_bytes: int, tokens: int) -> None:
        self.requests += times
        self.bytes += times * line_bytes
        self.tokens += times * tokens
        self.longest = max(self.longest, line_bytes)


def count_files(
    plan: Plan, providers: Mapping[str, ProviderConfig], remaining: NDArray[np.float64]
) -> BatchFiles:
    """Count the files of the trials that remain.

    Args:
        plan: what to ask.
        providers: by name.
        remaining: how often each prompt (rows) is to be sent under each setting (columns).
    """
    shapes = RequestShapes(plan)
    sizes: dict[QueueKey, _Sizes] = defaultdict(_Sizes)
    for column, setting in enumerate(plan.settings):
        around = line_overhead(plan, setting, providers[setting.provider])
        model = sizes[QueueKey(setting.provider, setting.model)]
        for row, length in enumerate(shapes.lengths(column)):
            if times := int(remaining[row, column]):
                model.add(times, length + around, token_guess(length))
    counts = [
        _count(model, providers[key.provider].profile.batch or BatchRules())
        for key, model in sizes.items()
    ]
    return BatchFiles(
        files=sum(files for files, _ in counts),
        is_exact=all(is_exact for _, is_exact in counts),
        requests=sum(model.requests for model in sizes.values()),
        bytes=sum(model.bytes for model in sizes.values()),
    )


def _count(sizes: _Sizes, rules: BatchRules) -> tuple[int, bool]:
    """The files of one model at least, and whether that is their number."""
    by_requests = -(-sizes.requests // rules.max_requests)
    by_bytes = -(-sizes.bytes // rules.max_bytes)
    tokens = rules.max_enqueued_tokens
    by_tokens = 0 if tokens is None else -(-sizes.tokens // tokens)
    fits = min(sizes.requests, rules.max_requests) * sizes.longest <= rules.max_bytes
    is_exact = (fits or by_bytes <= 1) and by_tokens <= 1
    return max(by_requests, by_bytes, by_tokens), is_exact
