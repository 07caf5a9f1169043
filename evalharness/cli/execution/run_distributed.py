"""``execution=ray``: what must hold before it starts, and the run itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.cli.execution.connections import open_budget
from evalharness.cli.execution.signals import Stoppable, stop_on_signals
from evalharness.config.models import ExecutionConfig, LimitsConfig, ProviderConfig
from evalharness.distributed.ray_token import require_token
from evalharness.errors import EXIT_STORAGE
from evalharness.providers import open_endpoint
from evalharness.runner import RunSummary, StopReason, budget
from evalharness.runner.progress import Progress
from evalharness.store.folder.writer import RunStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.distributed.actors import Cluster
    from evalharness.distributed.benchmark_driver import LoadDriver
    from evalharness.distributed.messages import EndpointSpec
    from evalharness.distributed.round_setup import DistributedTask


def fetches_journals(execution: ExecutionConfig) -> bool:
    """Whether a session can fetch journals that workers have on disks of their own."""
    return execution.engine == "ray" and execution.journal_dir is not None


async def run_distributed(
    prepared: PreparedRun, store: RunStore, done: NDArray[np.bool_], progress: Progress
) -> RunSummary:
    """Run what is left of a plan on Ray; the store stays open."""
    from evalharness.distributed.driver import Driver

    plan = prepared.plan
    async with AsyncExitStack() as stack:
        opened, task = await _open(prepared, store, progress, stack)
        driver = Driver(task, store, opened, progress)
        _watch(opened, driver, stack)
        progress.start(total=len(plan), done=int(done.sum()), label=plan.config.name)
        with stop_on_signals(driver, progress):
            return await driver.run(done)


@asynccontextmanager
async def run_load_on_ray(
    prepared: PreparedRun, store: RunStore, progress: Progress, limits: LimitsConfig
) -> AsyncGenerator[LoadDriver]:
    """Inside, load points can be measured on Ray; the store stays open.

    ``limits`` replace the run's, as in :func:`.connections.open_endpoints`.
    """
    from evalharness.distributed.benchmark_driver import LoadDriver

    async with AsyncExitStack() as stack:
        opened, task = await _open(prepared, store, progress, stack, exact_limits=limits)
        driver = LoadDriver(task, store, opened, progress)
        _watch(opened, driver, stack)
        async with driver.opened():
            yield driver


async def _open(
    prepared: PreparedRun,
    store: RunStore,
    progress: Progress,
    stack: AsyncExitStack,
    *,
    exact_limits: LimitsConfig | None = None,
) -> tuple[Cluster, DistributedTask]:
    """Open endpoints and Ray until ``stack`` closes."""
    plan = prepared.plan
    if plan.config.execution.address is None:
        require_token()
    from evalharness.distributed.ray_start import cluster
    from evalharness.distributed.round_setup import DistributedTask

    progress.print_line(f"starting {plan.config.execution.workers} workers on Ray")

    def committed_usd() -> Decimal:
        return open_budget(prepared, store).committed_usd

    def committed_in(attempts: pa.Table) -> Decimal:
        spending = budget.attempts_spend(attempts, plan.settings, prepared.book)
        return spending.spent + spending.in_doubt

    endpoints = [
        await _endpoint_spec(prepared, name, stack, progress, exact_limits)
        for name in prepared.providers
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
    variables = _variables(prepared.providers.values())
    return stack.enter_context(cluster(plan.config.execution, variables)), task


def _watch(opened: Cluster, driver: Stoppable, stack: AsyncExitStack) -> None:
    """Stop the driver when Ray itself is gone, until ``stack`` closes."""
    watch = asyncio.create_task(_stop_when_lost(opened, driver))
    stack.callback(watch.cancel)


def _variables(providers: Iterable[ProviderConfig]) -> set[str]:
    """The environment variables that workers read keys from."""
    names: set[str] = set()
    for provider in providers:
        names.update(provider.secret_headers.values())
        if provider.api_key_env is not None:
            names.add(provider.api_key_env)
    return names


async def _stop_when_lost(opened: Cluster, driver: Stoppable) -> None:
    """Stop when Ray itself is gone."""
    reason = await opened.watch()
    driver.stop(
        StopReason(
            reason,
            EXIT_STORAGE,
            hint="look at memory (dmesg) and at the cluster (ray status); the same command goes on",
        )
    )


async def _endpoint_spec(
    prepared: PreparedRun,
    name: str,
    stack: AsyncExitStack,
    progress: Progress,
    exact_limits: LimitsConfig | None,
) -> EndpointSpec:
    """Open an endpoint; return what workers need to reach it."""
    from evalharness.distributed.messages import EndpointSpec

    provider = prepared.providers[name]
    endpoint = await stack.enter_async_context(open_endpoint(provider, say=progress.print_line))
    limits = exact_limits or prepared.plan.config.limits
    hint = endpoint.concurrency_hint if exact_limits is None else None
    maximum = min(limits.concurrency, hint or 10**9)
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
        protocol=provider.protocol,
    )
