"""``plan --pilot N``: a few trials of every setting, sent by the real runner and recorded."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from evalharness.cli.compose import ComposedConfig
from evalharness.cli.execution.connections import config_yaml, open_budget, open_endpoints
from evalharness.cli.execution.cost_prompt import confirm, needs_confirmation, recorded_trials
from evalharness.cli.execution.run_batch import refuse_waiting_batches
from evalharness.cli.execution.signals import stop_on_signals
from evalharness.config.package_version import __version__
from evalharness.distributed.leases import refuse_open_leases
from evalharness.errors import ConfigError
from evalharness.planning.estimate.pilot import choose_pilot
from evalharness.process.text import plural
from evalharness.providers.tls import unverified
from evalharness.runner import Runner, RunSummary, StopReason
from evalharness.runner.context import RunContext
from evalharness.runner.progress import progress_for_terminal
from evalharness.store.folder.writer import RunStore
from evalharness.store.remote.locations import acquire_lock, run_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import PreparedRun


async def send_pilot(
    jobs: list[ComposedConfig], prepared: PreparedRun, size: int, *, yes: bool = False
) -> StopReason | None:
    """Send what a pilot of ``size`` trials a setting still lacks; return why it stopped early.

    The trials are those that a run would send, recorded where it would record them, so no request
    is paid for twice. ``evalharness run`` can resume the folder.

    Raises:
        ConfigError: ``size`` is below 1, or an expensive pilot was not confirmed.
    """
    if size < 1:
        raise ConfigError(f"--pilot {size}: at least one trial a setting", hint="--pilot 5")
    prepared, plan = prepared.sent_alone(), prepared.plan
    if needs_confirmation(prepared, yes=yes):
        confirm(prepared, choose_pilot(plan, recorded_trials(prepared)[0], size), what="This pilot")
    store = RunStore(
        run_root(plan.config), code_version=__version__, lock=acquire_lock(plan.config)
    )
    try:
        refuse_open_leases(store.folder.root)
        refuse_waiting_batches(store)
        store.save_plan(
            config_yaml=config_yaml(jobs),
            prompts=plan.prompts,
            digests=plan.digests,
            settings=plan.settings,
            planned=len(plan),
            unverified=unverified(prepared.providers.values()),
        )
        done = plan.done_map(store.done_keys())
        skip = choose_pilot(plan, done, size)
    except BaseException:
        store.close()
        raise
    wanted = int((~skip).sum())
    summary = RunSummary(planned=wanted)
    try:
        if wanted:
            summary = await _send(prepared, store, skip)
        else:
            store.start()
    except BaseException:
        store.close()
        raise
    left, stop = len(plan) - int(done.sum()) - summary.recorded, summary.stop
    status, reason = (
        ("interrupted", f"pilot of {size} trials a setting") if left else ("complete", None)
    )
    if stop is not None and left:
        status, reason = stop.status, stop.reason
    await store.finish(status=status, reason=reason)
    _print_summary(summary, wanted)
    return stop


async def _send(prepared: PreparedRun, store: RunStore, skip: NDArray[np.bool_]) -> RunSummary:
    progress = progress_for_terminal()
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        endpoints = await open_endpoints(prepared, stack, progress)
        budget = open_budget(prepared, store)
        runner = Runner(RunContext(prepared.plan, store, endpoints, budget, progress))
        progress.start(total=int((~skip).sum()), done=0, label=f"{prepared.plan.config.name} pilot")
        with stop_on_signals(runner, progress):
            return await runner.run(skip)


def _print_summary(summary: RunSummary, wanted: int) -> None:
    if not wanted:
        print("pilot: every setting has that many answers; 0 requests sent", file=sys.stderr)
        return
    text = f"pilot: {summary.recorded} of {plural(wanted, 'trial')} recorded, "
    text += f"{plural(summary.sent, 'request')} sent"
    if summary.failed:
        text += f", {summary.failed} failed"
    print(text, file=sys.stderr)
    if summary.stop is not None:
        print(f"stopped: {summary.stop.reason}", file=sys.stderr)
        if summary.stop.hint:
            print(f"  → {summary.stop.hint}", file=sys.stderr)
