"""A batch that is under way, and the trials that are still to be put into one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from evalharness.batch.client import BatchClient
from evalharness.errors import EvalharnessError
from evalharness.records import Intent, Trial
from evalharness.runner.queue import Job
from evalharness.store.journal.batch_files import BatchState


class QueueKey(NamedTuple):
    """What all requests of a batch have in common: OpenAI's files hold one model each."""

    provider: str
    model: str


@dataclass
class OpenBatch:
    """A batch that is not settled.

    Attributes:
        state: as it is on disk.
        client: of its provider.
        intents: of the requests without a result, by their names in the batch.
        jobs: those of them that were tried before, by the same names.
    """

    state: BatchState
    client: BatchClient
    intents: dict[str, Intent]
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])

    @property
    def key(self) -> QueueKey:
        """The queue that its requests came from."""
        return QueueKey(self.state.provider, self.state.model)

    @property
    def may_be_sent(self) -> bool:
        """Whether the provider may have it."""
        return self.state.batch_id is not None or self.state.create_at_ns is not None


class WorkQueue:
    """What is to be asked of one model of one provider: again first, then fresh trials.

    Args:
        key: of the queue.
        fresh: trials that were not asked, in the order of the plan.
        make_job: turns one into a job.

    Attributes:
        one_at_a_time: the provider has no room for two batches of this model.
    """

    def __init__(
        self, key: QueueKey, fresh: Iterator[Trial], make_job: Callable[[Trial], Job]
    ) -> None:
        self.key = key
        self.one_at_a_time = False
        self._fresh, self._make_job = fresh, make_job
        self._again: deque[Job] = deque()

    def take(self) -> Job | None:
        """The next job; None when there is none."""
        if self._again:
            return self._again.popleft()
        trial = next(self._fresh, None)
        return None if trial is None else self._make_job(trial)

    def put_back(self, jobs: list[Job]) -> None:
        """Take jobs back, in their order, before all others."""
        self._again.extendleft(reversed(jobs))

    def add(self, job: Job) -> None:
        """A job that is to be asked again."""
        self._again.append(job)

    def take_all_again(self) -> list[Job]:
        """Every job that was asked before and is to be asked again."""
        jobs = list(self._again)
        self._again.clear()
        return jobs


@dataclass
class BatchWork:
    """What a run in batches has to do.

    Attributes:
        open: batches that are not settled.
        queues: what is still to be put into batches.
        live: jobs that batches did not answer and that are to be sent as single requests.
        stuck: batches of which nothing more can be learned now, by name, and why. They are not
            looked at again; the rest goes on, and then the run stops for the first of them.
    """

    open: list[OpenBatch] = field(default_factory=list[OpenBatch])
    queues: dict[QueueKey, WorkQueue] = field(default_factory=dict[QueueKey, WorkQueue])
    live: list[Job] = field(default_factory=list[Job])
    stuck: dict[str, EvalharnessError] = field(default_factory=dict[str, EvalharnessError])

    @property
    def visible(self) -> list[OpenBatch]:
        """The open batches that are not stuck."""
        return [batch for batch in self.open if batch.state.name not in self.stuck]
