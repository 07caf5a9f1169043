"""``execution=ray``: what must hold before it starts, and the run itself."""

from __future__ import annotations

import importlib.util
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from msgspec import structs

from evalharness.commands.opening import open_money
from evalharness.commands.signals import draining
from evalharness.config import ExecutionConfig, ProviderConfig, RunConfig
from evalharness.distributed.token import ask_for_token
from evalharness.errors import ConfigError
from evalharness.progress import Progress
from evalharness.providers import open_endpoint
from evalharness.runner import Summary, money
from evalharness.store.writer import RunStore

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from evalharness.commands.run import Prepared
    from evalharness.distributed.messages import Reach


def _nothing_of_ray(execution: ExecutionConfig) -> None:
    """What only workers have is not left unheeded in one process."""
    for key in ("address", "journal_dir", "shard_trials"):
        if (value := getattr(execution, key)) is not None:
            raise ConfigError(
                f"execution.{key}={value} has no meaning in one process",
                hint=f"execution=ray execution.{key}={value}, or execution.{key}=null",
            )


def check_execution(config: RunConfig, providers: dict[str, ProviderConfig]) -> None:
    """Find out before anything is started whether the run can be carried out as asked.

    Raises:
        ConfigError: Ray is not installed, or ``execution`` does not fit the rest.
    """
    execution = config.execution
    if execution.engine == "local":
        _nothing_of_ray(execution)
        return
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "execution.engine=ray, and Ray is not installed", hint="pip install 'evalharness[ray]'"
        )
    if config.load is not None:
        raise ConfigError(
            "a load is measured from one process, whose lateness is known",
            hint="execution=local, or load=none",
        )
    most = config.limits.concurrency
    if execution.workers > most:
        raise ConfigError(
            f"execution.workers={execution.workers}, and limits.concurrency={most} requests at "
            "once are not enough for one each",
            hint=f"execution.workers={most}, or a larger limits.concurrency (the total of all)",
        )
    folder = execution.journal_dir
    if folder is not None and not PurePath(folder).is_absolute():
        raise ConfigError(
            f"execution.journal_dir={folder} is another folder in each process that reads it",
            hint=f"execution.journal_dir={Path(folder).expanduser().absolute()}, or another "
            "absolute path",
        )
    if execution.address is None:
        return
    if execution.address.startswith("ray://"):
        raise ConfigError(
            f"execution.address={execution.address}: Ray Client runs on a machine outside the "
            "cluster, which shares no run folder with it",
            hint="run the command on a machine of the cluster, with execution.address=auto",
        )
    for provider in providers.values():
        if provider.kind != "remote":
            raise ConfigError(
                f"execution.address is set, and provider {provider.name!r} (kind {provider.kind}) "
                "answers on this machine alone",
                hint="execution.address=null, or a provider with a base_url",
            )


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
    from evalharness.distributed.opening import Task

    plan = prepared.plan
    progress.say(f"starting {plan.config.execution.workers} workers on Ray")

    def gone() -> Decimal:
        return open_money(prepared, store).gone

    def spent_in(attempts: pa.Table) -> Decimal:
        found = money.spent_in(attempts, plan.settings, prepared.book)
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
