"""``execution=ray``: what must hold before it starts, and the run itself."""

from __future__ import annotations

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.cli.execution.connections import open_money
from evalharness.cli.execution.signals import draining
from evalharness.config.models import ExecutionConfig
from evalharness.distributed.ray_token import ask_for_token
from evalharness.providers import open_endpoint
from evalharness.runner import Summary, budget
from evalharness.runner.progress import Progress
from evalharness.store.folder.writer import RunStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import Prepared
    from evalharness.distributed.messages import Reach


def fetches_journals(execution: ExecutionConfig) -> bool:
    """Whether a session can fetch journals that workers have on disks of their own."""
    return execution.engine == "ray" and execution.journal_dir is not None


async def run_distributed(
    prepared: Prepared, store: RunStore, done: NDArray[np.bool_], progress: Progress
) -> Summary:
    """Run what is left of a plan on Ray; the store stays open."""
    if prepared.plan.config.execution.address is None:
        ask_for_token()
    from evalharness.distributed.actors import cluster
    from evalharness.distributed.driver import Driver
    from evalharness.distributed.round_setup import Task

    plan = prepared.plan
    progress.say(f"starting {plan.config.execution.workers} workers on Ray")

    def gone() -> Decimal:
        return open_money(prepared, store).gone

    def spent_in(attempts: pa.Table) -> Decimal:
        found = budget.spent_in(attempts, plan.settings, prepared.book)
        return found.spent + found.in_doubt

    async with AsyncExitStack() as stack:
        reaches = [await _reach(prepared, name, stack, progress) for name in prepared.providers]
        task = Task(
            plan=plan,
            profiles={name: p.profile for name, p in prepared.providers.items()},
            reaches=reaches,
            prices={s.setting_id: prepared.price(s) for s in plan.settings},
            gone=gone,
            spent_in=spent_in,
        )
        # Ray sets handlers of its own, which ours replace.
        driver = Driver(task, store, stack.enter_context(cluster(plan.config.execution)), progress)
        progress.start(total=len(plan), done=int(done.sum()), label=plan.config.name)
        with draining(driver, progress):
            return await driver.run(done)


async def _reach(prepared: Prepared, name: str, stack: AsyncExitStack, progress: Progress) -> Reach:
    """Open an endpoint, and say how workers get there."""
    from evalharness.distributed.messages import Reach

    provider = prepared.providers[name]
    endpoint = await stack.enter_async_context(open_endpoint(provider, say=progress.say))
    limits = prepared.plan.config.limits
    most = min(limits.concurrency, endpoint.concurrency_hint or 10**9)
    return Reach(
        name=name,
        base_url=endpoint.base_url,
        headers=endpoint.headers,
        profile=endpoint.profile,
        api_key_env=provider.api_key_env,
        limits=structs.replace(limits, concurrency=most),
    )
