"""What every command that sends shares: endpoints with their limits, and the money guard."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness import __version__
from evalharness.chat_api.client import ChatClient
from evalharness.config.models import LimitsConfig
from evalharness.http import open_transport
from evalharness.providers import open_endpoint
from evalharness.runner import Lane
from evalharness.runner.budget import Money, check_bounded, spent_before
from evalharness.store.folder.run import Run
from evalharness.throttle.clock import SystemClock
from evalharness.throttle.limiter import Gate
from evalharness.throttle.output_token_estimate import OutputEstimate

if TYPE_CHECKING:
    from evalharness.cli.compose import Job
    from evalharness.cli.execution.prepare import Prepared
    from evalharness.runner.progress import Progress
    from evalharness.store.folder.writer import RunStore


def config_yaml(jobs: list[Job]) -> str:
    """The configuration as it is kept in the run folder; a document for each job."""
    head = f"# Resolved configuration, evalharness {__version__}.\n"
    if len(jobs) == 1:
        return head + jobs[0].yaml
    return head + "".join(f"--- # job {n}\n{job.yaml}" for n, job in enumerate(jobs))


async def open_lanes(
    prepared: Prepared,
    stack: AsyncExitStack,
    progress: Progress,
    *,
    exactly: LimitsConfig | None = None,
) -> dict[str, Lane]:
    """Open every provider of a plan until ``stack`` closes.

    ``exactly`` holds instead of the run's limits, whatever an endpoint can serve at once: what
    waits inside it is what a benchmark measures.
    """
    config = prepared.plan.config
    chosen = config.limits if exactly is None else exactly
    transport = await stack.enter_async_context(open_transport(config.transport, chosen))
    lanes: dict[str, Lane] = {}
    for name, provider in prepared.providers.items():
        endpoint = await stack.enter_async_context(open_endpoint(provider, say=progress.say))
        client = ChatClient(
            transport,
            endpoint.base_url,
            key=endpoint.key,
            headers=endpoint.headers,
            profile=endpoint.profile,
        )
        # What an endpoint cannot serve at once would wait inside it and count as latency.
        hint = endpoint.concurrency_hint if exactly is None else None
        limits = structs.replace(chosen, concurrency=min(chosen.concurrency, hint or 10**9))
        seed, address = config.order.shuffle_seed, endpoint.base_url
        gate = Gate(name, limits, endpoint.profile, SystemClock(), seed, address=address)
        lanes[name] = Lane(client, gate, OutputEstimate())
    return lanes


def open_money(prepared: Prepared, store: RunStore) -> Money:
    """The money guard of a run: today's prices, and what earlier sessions spent.

    ``store`` is open, so that attempts without a result already count as in doubt.

    Raises:
        ConfigError: there is a limit that could not hold: no price, or no ``max_tokens``.
    """
    limit = prepared.plan.config.limits.max_cost_usd
    prices = {s.setting_id: prepared.price(s) for s in prepared.plan.settings}
    if limit is None:
        return Money(None, prices)
    check_bounded(prepared.plan.settings, prices, prepared.book)
    before = spent_before(Run.open(store.folder.root), prepared.book)
    if before.unknown:
        print(
            f"{before.unknown} earlier attempts have no known cost and count nothing towards "
            f"limits.max_cost_usd={limit}",
            file=sys.stderr,
        )
    return Money(limit, prices, spent=before.spent, in_doubt=before.in_doubt)
