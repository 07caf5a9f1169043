"""An endpoint as the runner uses it: its client, its limiter and its token estimates."""

from __future__ import annotations

from typing import NamedTuple

from evalharness.chat_api.content_parts import text_bytes
from evalharness.parameters import merge_params, output_limit
from evalharness.records import Reply
from evalharness.runner.clients import Client
from evalharness.runner.queue import Job
from evalharness.runner.replicas import Replicas
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.output_token_estimate import TokenEstimator


class EndpointRuntime(NamedTuple):
    """One endpoint: how to call it, when, and how long its answers are.

    ``concurrency_hint`` is how many requests it works on at once; None where that is not known.
    ``replicas`` are several servers that stand for it, in place of ``client``; None: there is one.
    """

    client: Client
    limiter: EndpointLimiter
    estimator: TokenEstimator
    concurrency_hint: int | None = None
    replicas: Replicas | None = None

    async def complete(self, job: Job, client_request_id: str, *, keep_chunk_times: bool) -> Reply:
        """Send a job's request; see :meth:`.clients.Client.complete`."""
        if self.replicas is not None:
            return await self.replicas.complete(
                job, client_request_id, keep_chunk_times=keep_chunk_times
            )
        return await self.client.complete(
            job.body,
            client_request_id,
            prompt=job.trial.prompt,
            keep_chunk_times=keep_chunk_times,
        )

    def estimate_tokens(self, job: Job) -> int:
        """About how many tokens a job takes from the token budget; 0 where there is none."""
        if not self.limiter.counts_tokens:
            return 0
        return self.estimator.total(_length_key(job), _text_length(job), _max_tokens(job))

    def learn(self, job: Job, reply: Reply) -> None:
        """Learn how long answers are, where there is a token budget."""
        if self.limiter.counts_tokens:
            self.estimator.observe(_length_key(job), _text_length(job), reply.usage)


def _length_key(job: Job) -> str:
    """Output lengths are learned by setting, because they differ between settings."""
    return job.trial.setting.setting_id


def _text_length(job: Job) -> int:
    """The data of an image says nothing about its tokens."""
    return text_bytes(len(job.body), job.trial.prompt.messages)


def _max_tokens(job: Job) -> int | None:
    return output_limit(merge_params(job.trial.setting.params, job.trial.prompt.params))
