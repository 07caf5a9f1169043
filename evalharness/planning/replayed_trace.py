"""What a run replays of a recorded trace."""

from __future__ import annotations

from pathlib import Path

from evalharness.config.models import DatasetConfig
from evalharness.datasets.workload.generate import WORDS_NAME
from evalharness.datasets.workload.token_counts import LinearCounts
from evalharness.datasets.workload.traces import select_requests
from evalharness.store.parts.replay_file import ReplaySource


def replayed_trace(
    dataset: DatasetConfig, root: Path, counts: LinearCounts | None
) -> ReplaySource | None:
    """What is sent of a trace, and what is not; None where the dataset is none.

    Raises:
        DatasetError: it cannot be read or replayed.
    """
    workload = dataset.workload
    if workload is None or workload.trace is None or dataset.path == WORDS_NAME:
        return None
    _, read = select_requests(workload, workload.trace, root, counts, limit=dataset.limit)
    return ReplaySource(
        kind="trace",
        name=workload.trace.path,
        requests=read.chosen,
        read=read.requests,
        truncated=read.truncated,
        lengthened=read.lengthened,
        skipped_long=read.skipped_long,
        skipped_short=read.skipped_short,
        first_s=read.first_s,
        last_s=read.last_s,
        continues=read.more,
    )
