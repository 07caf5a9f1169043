"""An endpoint as the runner sees it: one lane of the run."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.chat_api.client import ChatClient
from evalharness.records import Reply
from evalharness.runner.queue import Job
from evalharness.throttle.limiter import Gate
from evalharness.throttle.output_token_estimate import OutputEstimate


class Lane(NamedTuple):
    """One endpoint: how to talk to it, when, and how long its answers are."""

    client: ChatClient
    gate: Gate
    estimate: OutputEstimate

    def tokens(self, job: Job) -> int:
        """About how many tokens a job takes from the token budget; 0 where there is none."""
        if not self.gate.counts_tokens:
            return 0
        return self.estimate.total(_task(job), len(job.body), _cap(job))

    def learn(self, job: Job, reply: Reply) -> None:
        """Learn how long answers are, where there is a token budget."""
        if self.gate.counts_tokens:
            self.estimate.observe(_task(job), len(job.body), reply.usage)


def _task(job: Job) -> str:
    """What output lengths are learned by: they differ between settings."""
    return job.trial.setting.setting_id


def _cap(job: Job) -> int | None:
    value = job.trial.prompt.params.get("max_tokens") or job.trial.setting.params.get("max_tokens")
    return value if isinstance(value, int) else None
