"""From a composed configuration to a run folder and a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evalharness.cli.compose import CommandResult, ComposedConfig
from evalharness.cli.execution.connections import (
    cost_limit_check,
    open_budget,
    open_endpoints,
)
from evalharness.cli.execution.cost_prompt import (
    confirm,
    needs_confirmation,
    recorded_trials,
    waiting_trials,
)
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.open_plan import open_plan
from evalharness.cli.execution.prepare import PreparedRun, prepare
from evalharness.cli.execution.run_batch import IN_BATCHES, run_batch
from evalharness.cli.execution.run_distributed import run_distributed
from evalharness.cli.execution.run_summary import closing_lines
from evalharness.cli.execution.server_metrics import reading_metrics
from evalharness.cli.execution.signals import stop_on_signals
from evalharness.cli.execution.workload_counts import measure_counts
from evalharness.config.package_version import __version__
from evalharness.distributed.leases import has_open_leases
from evalharness.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    ConfigError,
    EvalharnessError,
    StorageError,
)
from evalharness.planning.plan import Plan
from evalharness.process.stdio import flush_or_discard, has_cause
from evalharness.runner import Runner, RunSummary, StopReason
from evalharness.runner.context import RunContext
from evalharness.runner.control.run_control import RunControl
from evalharness.runner.control.watch import ControlWatch, UncontrolledRun
from evalharness.runner.progress import Progress, progress_for_terminal
from evalharness.store.folder.writer import RunStore
from evalharness.store.remote.locations import acquire_lock, run_root, upload_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.datasets.workload.token_counts import LinearCounts

_STOP_HINT = "Ctrl-C stops the run; the same command goes on, with other limits too"
_ON_RAY = UncontrolledRun("a run on Ray takes no changes while it goes on", _STOP_HINT)
_LOAD = UncontrolledRun(
    "a load point is measured as one piece: a pause or another limit would falsify it",
    "Ctrl-C stops the run; the same command measures what is left",
)


class SendOptions(NamedTuple):
    """How a run is sent.

    Attributes:
        yes: do not ask before an expensive run.
        retry_errors: trials that an earlier session recorded as errors are sent again.
        lock: of the run folder, where the caller holds it already.
        progress: shows the counts; None chooses by the terminal.
        prepared: is called with what was checked, before anything is asked or sent; None: nothing.
        cancel: the run's batches are cancelled, and nothing is sent.
    """

    yes: bool = False
    retry_errors: bool = False
    lock: int | None = None
    progress: Progress | None = None
    prepared: Callable[[PreparedRun], None] | None = None
    cancel: bool = False


def execute_run(
    jobs: list[ComposedConfig],
    *,
    arguments: Sequence[str] = (),
    options: SendOptions | None = None,
) -> CommandResult:
    """Run (or continue) the sweep that ``jobs`` describe and print its report.

    Args:
        jobs: composed configurations; the first names the run folder.
        arguments: of the command, for the line that resumes it.
        options: how it is sent.
    """
    root, summary = send_run(jobs, options or SendOptions())
    return _conclude(root, summary, arguments)


def send_run(jobs: list[ComposedConfig], options: SendOptions) -> tuple[Path, RunSummary]:
    """Run (or continue) a sweep without a report; the run folder and what was done.

    Raises:
        EvalharnessError: nothing was sent, and why.
    """
    config = jobs[0].config
    if options.retry_errors and config.load is not None:
        raise ConfigError(
            "--retry-errors would take errors out of load points that were measured",
            hint="another name=… measures them anew",
        )
    if options.cancel and config.execution.engine != "batch":
        raise ConfigError("--cancel is for the batches of a run", hint="with execution=batch")
    root = run_root(config)
    own = options._replace(lock=None, progress=None, prepared=None)
    counts = measure_counts(jobs, lambda words, again: _send_words(words, own, again))
    prepared, lock = _prepare_locked(jobs, options, counts)
    store = RunStore(root, code_version=__version__, lock=lock)
    try:
        done = open_plan(store, prepared, jobs, retry_errors=options.retry_errors)
    except BaseException:
        store.close()
        raise
    if config.load is not None:
        return root, run_on_loop(lambda: _run_benchmark(prepared, store))
    if done.all() and not has_open_leases(root) and not store.recovery.waiting:
        return root, run_on_loop(lambda: _finish_without_sending(store, prepared.plan))
    progress = options.progress or progress_for_terminal()
    return root, run_on_loop(lambda: _run(prepared, store, done, progress, options.cancel))


def _send_words(jobs: list[ComposedConfig], options: SendOptions, again: bool) -> RunSummary:
    """Send the run that measures a workload's words; ``again``: errors of an earlier one, too."""
    return send_run(jobs, options._replace(retry_errors=again))[1]


def _prepare_locked(
    jobs: list[ComposedConfig], options: SendOptions, counts: LinearCounts | None
) -> tuple[PreparedRun, int | None]:
    """Check everything under the folder's lock, and ask where it may be expensive."""
    lock = acquire_lock(jobs[0].config) if options.lock is None else options.lock
    try:
        prepared = prepare([job.config for job in jobs], counts=counts)
        if options.prepared is not None:
            options.prepared(prepared)
        if needs_confirmation(prepared, yes=options.yes or options.cancel):
            sent = recorded_trials(prepared)[0] | waiting_trials(prepared)
            confirm(prepared, sent, what="This run")
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
    return prepared, lock


async def _finish_without_sending(store: RunStore, plan: Plan) -> RunSummary:
    store.start()
    summary = RunSummary(planned=len(plan), already_recorded=len(plan))
    await store.finish(status="complete", reason=None)
    return summary


async def _run(
    prepared: PreparedRun,
    store: RunStore,
    done: NDArray[np.bool_],
    progress: Progress,
    cancel: bool,
) -> RunSummary:
    plan, watch = prepared.plan, ControlWatch(store.folder.root)
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        try:
            if plan.config.execution.engine == "ray":
                async with watch.serving(_ON_RAY):
                    summary = await run_distributed(prepared, store, done, progress)
                await _finish(store, summary)
                return summary
            if plan.config.execution.engine == "batch":
                async with watch.serving(IN_BATCHES):
                    summary = await run_batch(prepared, store, done, progress, cancel=cancel)
                await _finish(store, summary)
                return summary
            check_cost_limit = cost_limit_check(prepared, store)
            endpoints = await open_endpoints(prepared, stack, progress)
            budget = open_budget(prepared, store)
            context = RunContext(plan, store, endpoints, budget, progress)
            runner = Runner(context)
            progress.start(total=len(plan), done=int(done.sum()), label=plan.config.name)
            await stack.enter_async_context(
                reading_metrics(plan.config, store, endpoints, progress)
            )
            with stop_on_signals(runner, progress):
                async with watch.serving(RunControl(context, runner, check_cost_limit)):
                    summary = await runner.run(done)
                await _finish(store, summary)
        except BaseException:
            store.close()
            raise
        return summary


async def _run_benchmark(prepared: PreparedRun, store: RunStore) -> RunSummary:
    from evalharness.cli.execution.run_benchmark import run_benchmark

    try:
        async with ControlWatch(store.folder.root).serving(_LOAD):
            summary = await run_benchmark(prepared, store)
        store.folder.save_manifest(planned=summary.planned)
        await _finish(store, summary)
    except BaseException:
        store.close()
        raise
    return summary


async def _finish(store: RunStore, summary: RunSummary) -> None:
    """Seal the records and release the folder; a disk error here becomes the reason to stop."""
    stop = summary.stop
    if stop is not None and (summary.remaining or stop.status != "interrupted"):
        status, reason = stop.status, stop.reason
    else:
        status, reason = ("interrupted" if summary.remaining else "complete"), None
    try:
        await store.finish(status=status, reason=reason)
    except StorageError as error:
        summary.stop = StopReason.from_error(error)
    summary.recorded -= store.journal.lost_records
    summary.unsaved += store.journal.lost_records
    summary.quarantined = store.damage_count


def _conclude(root: Path, summary: RunSummary, arguments: Sequence[str]) -> CommandResult:
    """Print the report and, last, what a person should do next."""
    objective, failed = None, EXIT_OK
    if summary.already_recorded or summary.recorded:
        objective, failed = _print_report(root)
        failed = _upload_report(root) or failed
    for line in closing_lines(root, summary, arguments):
        print(line, file=sys.stderr)
    return CommandResult(summary.exit_code or failed, objective)


def finish_report(root: Path) -> None:
    """Write the report's files without printing it, and upload them where the run is a copy.

    Raises:
        EvalharnessError: there is nothing to report, or it cannot be written or uploaded.
    """
    from evalharness.cli.execution.final_report import write_report

    write_report(root)
    upload_run(root)


def _upload_report(root: Path) -> int:
    """Upload the report where the run is in an object store; an exit code where that failed."""
    try:
        upload_run(root)
    except StorageError as error:
        print(f"the report is not uploaded: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


def _print_report(root: Path) -> tuple[float | None, int]:
    """Print the report; return the objective, and an exit code where there is no report.

    No error leaves this function: the closing lines must be printed after it.
    """
    from evalharness.cli.execution.final_report import print_report

    try:
        objective = print_report(root)
        sys.stdout.flush()
    except EvalharnessError as error:
        print(f"no report: {error}", file=sys.stderr)
        return None, error.exit_code
    except (BrokenPipeError, SystemExit) as stop:
        if not has_cause(stop, BrokenPipeError):
            raise
        flush_or_discard(sys.stdout)  # its reader has closed the pipe, as `| head` does
        return None, EXIT_OK
    except OSError as error:
        flush_or_discard(sys.stdout)
        print(f"the report cannot be written: {error.strerror or error}", file=sys.stderr)
        return None, EXIT_STORAGE
    except KeyboardInterrupt:
        print("no report: interrupted", file=sys.stderr)
        return None, EXIT_INTERRUPTED
    return objective, EXIT_OK
