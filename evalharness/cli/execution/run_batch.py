"""A run through batch endpoints: its clients, its signals."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from evalharness.batch.client import BatchClient
from evalharness.batch.forms import get_form
from evalharness.batch.runner import BatchedRun
from evalharness.chat_api.client import ChatClient
from evalharness.cli.execution.connections import open_budget, open_endpoints
from evalharness.cli.execution.signals import stop_on_signals
from evalharness.errors import ConfigError
from evalharness.http.files import FileTransport
from evalharness.process.text import plural
from evalharness.providers.tls import tls_settings
from evalharness.runner.context import RunContext
from evalharness.runner.control.watch import UncontrolledRun
from evalharness.throttle.retry_policy import RetryPolicy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.runner import RunSummary
    from evalharness.runner.progress import Progress
    from evalharness.store.folder.writer import RunStore


IN_BATCHES = UncontrolledRun(
    "a run in batches takes no changes while it goes on",
    "Ctrl-C leaves the batches at the provider; the same command goes on, with other limits too",
)


def refuse_waiting_batches(store: RunStore) -> None:
    """Refuse to send single requests while batches of the run go on: they would be bought twice.

    Raises:
        ConfigError: some do.
    """
    waiting = len(store.recovery.waiting)
    if waiting:
        raise ConfigError(
            f"{plural(waiting, 'request')} of this run are in batches at the provider",
            hint="execution=batch fetches their answers; run --cancel execution=batch cancels them",
        )


async def run_batch(
    prepared: PreparedRun,
    store: RunStore,
    done: NDArray[np.bool_],
    progress: Progress,
    *,
    cancel: bool,
) -> RunSummary:
    """Send a plan in batches, or with ``cancel`` take back those that are under way."""
    async with AsyncExitStack() as stack:
        return await _run(prepared, store, done, progress, stack, cancel=cancel)


async def _run(
    prepared: PreparedRun,
    store: RunStore,
    done: NDArray[np.bool_],
    progress: Progress,
    stack: AsyncExitStack,
    *,
    cancel: bool,
) -> RunSummary:
    plan = prepared.plan
    endpoints = await open_endpoints(prepared, stack, progress)
    budget = open_budget(prepared, store)
    stopping = asyncio.Event()
    clients: dict[str, BatchClient] = {}
    for name, provider in prepared.providers.items():
        chat, rules = endpoints[name].client, provider.profile.batch
        assert isinstance(chat, ChatClient)
        assert rules is not None  # see batch.checks
        transport = FileTransport(plan.config.limits, tls_settings(provider))
        clients[name] = BatchClient(
            await stack.enter_async_context(transport),
            chat,
            get_form(rules.form_for(provider.protocol)),
            rules,
            plan.config.limits,
            lambda seconds: _pause(stopping, seconds),
            name=name,
            new_policy=lambda profile=provider.profile: RetryPolicy(plan.config.limits, profile),
        )
    context = RunContext(plan, store, endpoints, budget, progress)
    keys = {name: provider.api_key_env for name, provider in prepared.providers.items()}
    runner = BatchedRun(context, clients, stopping, cancel=cancel, key_variables=keys)
    progress.start(total=len(plan), done=int(done.sum()), label=plan.config.name)
    if store.recovery.waiting:
        waiting = plural(len(store.recovery.waiting), "request")
        progress.print_line(f"{waiting} of this run are in batches at the provider already")
    with stop_on_signals(runner, progress, what="batches go on at the provider"):
        return await runner.run(done)


async def _pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait; false once the run is to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return True
    return False
