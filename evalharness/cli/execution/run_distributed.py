"""``execution=ray``: what must hold before it starts, and the run itself."""

from __future__ import annotations

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.cli.execution.connections import open_budget
from evalharness.cli.execution.signals import stop_on_signals
from evalharness.config.models import ExecutionConfig
from evalharness.distributed.ray_token import require_token
from evalharness.providers import open_endpoint
from evalharness.runner import RunSummary, budget
from evalharness.runner.progress import Progress
from evalharness.store.folder.writer import RunStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.distributed.messages import EndpointSpec


def fetches_journals(execution: ExecutionConfig) -> bool:
    """Whether a session can fetch journals that workers have on disks of their own."""
    return execution.engine == "ray" and execution.journal_dir is not None


async def run_distributed(
    prepared: PreparedRun, store: RunStore, done: NDArray[np.bool_], progress: Progress
) -> RunSummary:
    """Run what is left of a plan on Ray; the store stays open."""
    if prepared.plan.config.execution.address is None:
        require_token()
    from evalharness.distributed.actors import cluster
    from evalharness.distributed.driver import Driver
    from evalharness.distributed.round_setup import DistributedTask

    plan = prepared.plan
    progress.print_line(f"starting {plan.config.execution.workers} workers on Ray")

    def committed_usd() -> Decimal:
        return open_budget(prepared, store).committed_usd

    def committed_in(attempts: pa.Table) -> Decimal:
        spending = budget.attempts_spend(attempts, plan.settings, prepared.book)
        return spending.spent + spending.in_doubt

    async with AsyncExitStack() as stack:
        endpoints = [
            await _endpoint_spec(prepared, name, stack, progress) for name in prepared.providers
        ]
        task = DistributedTask(
            plan=plan,
            profiles={name: p.profile for name, p in prepared.providers.items()},
            endpoints=endpoints,
            prices={s.setting_id: prepared.price(s) for s in plan.settings},
            committed_usd=committed_usd,
            committed_in=committed_in,
        )
        # Ray sets signal handlers of its own, which ours replace.
        driver = Driver(task, store, stack.enter_context(cluster(plan.config.execution)), progress)
        progress.start(total=len(plan), done=int(done.sum()), label=plan.config.name)
        with stop_on_signals(driver, progress):
            return await driver.run(done)


async def _endpoint_spec(
    prepared: PreparedRun, name: str, stack: AsyncExitStack, progress: Progress
) -> EndpointSpec:
    """Open an endpoint; return what workers need to reach it."""
    from evalharness.distributed.messages import EndpointSpec

    provider = prepared.providers[name]
    endpoint = await stack.enter_async_context(open_endpoint(provider, say=progress.print_line))
    limits = prepared.plan.config.limits
    maximum = min(limits.concurrency, endpoint.concurrency_hint or 10**9)
    return EndpointSpec(
        name=name,
        base_url=endpoint.base_url,
        headers=endpoint.headers,
        tls=endpoint.tls,
        profile=endpoint.profile,
        api_key_env=provider.api_key_env,
        limits=structs.replace(limits, concurrency=maximum),
        auth=provider.auth,
        secret_headers=provider.secret_headers,
        query=provider.query,
        allow_plain_http=provider.allow_plain_http,
    )
