"""``plan --pilot N``: a few trials of every setting, sent by the real runner and recorded."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from evalharness import __version__
from evalharness.cli.compose import Job
from evalharness.cli.execution.connections import config_yaml, open_lanes, open_money
from evalharness.cli.execution.cost_prompt import asks, confirm, recorded
from evalharness.cli.execution.signals import draining
from evalharness.distributed.leases import refuse_open
from evalharness.errors import ConfigError
from evalharness.planning.estimate.pilot import choose
from evalharness.process.text import plural
from evalharness.runner import Runner, Stop, Summary
from evalharness.runner.progress import progress_for_terminal
from evalharness.store.folder.writer import RunStore
from evalharness.store.remote.locations import hold, run_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import Prepared


async def send_pilot(
    jobs: list[Job], prepared: Prepared, size: int, *, yes: bool = False
) -> Stop | None:
    """Send what a pilot of ``size`` trials a setting still lacks; why it stopped before its end.

    The trials are those a run would send, recorded where it would record them: they are not bought
    again. The folder stays resumable by ``evalharness run``.

    Raises:
        ConfigError: ``size`` is below 1, or a dear pilot was not confirmed.
    """
    if size < 1:
        raise ConfigError(f"--pilot {size}: at least one trial a setting", hint="--pilot 5")
    plan = prepared.plan
    if asks(prepared, yes=yes):
        confirm(prepared, choose(plan, recorded(prepared)[0], size), what="This pilot")
    store = RunStore(run_root(plan.config), code_version=__version__, lock=hold(plan.config))
    try:
        refuse_open(store.folder.root)
        store.save_plan(
            config_yaml=config_yaml(jobs),
            prompts=plan.prompts,
            digests=plan.digests,
            settings=plan.settings,
            planned=len(plan),
        )
        done = plan.done_map(store.done_keys())
        keep = choose(plan, done, size)
    except BaseException:
        store.close()
        raise
    wanted = int((~keep).sum())
    summary = Summary(planned=wanted)
    try:
        if wanted:
            summary = await _send(prepared, store, keep)
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
    _say(summary, wanted)
    return stop


async def _send(prepared: Prepared, store: RunStore, keep: NDArray[np.bool_]) -> Summary:
    progress = progress_for_terminal()
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        lanes = await open_lanes(prepared, stack, progress)
        money = open_money(prepared, store)
        runner = Runner(prepared.plan, store, lanes, money=money, progress=progress)
        progress.start(total=int((~keep).sum()), done=0, label=f"{prepared.plan.config.name} pilot")
        with draining(runner, progress):
            return await runner.run(keep)


def _say(summary: Summary, wanted: int) -> None:
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
