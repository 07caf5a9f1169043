"""Where the requests of a run are sent from."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evalharness.config.number_types import Count, NonNegative, Positive


class ExecutionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the run's requests are sent from.

    Attributes:
        engine: ``local`` is this process; ``ray`` is ``workers`` processes that Ray starts;
            ``batch`` sends files of requests to the provider's batch endpoint.
        workers: how many; no more than ``limits.concurrency``, which is their total.
        address: of a Ray cluster (``auto``: the one this machine belongs to; ``ray://…``: one it
            does not); None starts a Ray of our own on this machine, for the length of the run.
        journal_dir: absolute path of a folder on each node's own disk for its workers' journals;
            None keeps them in the run folder.
        shard_trials: how many trials a worker takes at a time; None: by the size of the plan.
        on_expired: how a batch's requests that were not answered are asked again: in another
            ``batch``, or ``live``.
        poll_s: seconds until a batch is looked at first; each wait is half as long again as the one
            before, up to ``max_poll_s``.
        max_poll_s: the longest of these waits.
        lookup_s: seconds for which a batch is looked for when the answer to its creation was lost,
            before it is sent again.
        max_batches: how many batches may be under way at once.
    """

    engine: Literal["local", "ray", "batch"] = "local"
    workers: Annotated[int, Meta(ge=1, le=10_000)] = 2
    address: str | None = None
    journal_dir: str | None = None
    shard_trials: Count | None = None
    on_expired: Literal["batch", "live"] = "batch"
    poll_s: Positive = 30.0
    max_poll_s: Positive = 600.0
    lookup_s: NonNegative = 120.0
    max_batches: Count = 20
