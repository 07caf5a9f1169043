"""``evalharness run``: from a composed configuration to a run folder and a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness import __version__
from evalharness.cli.compose import Job, Result
from evalharness.cli.execution.connections import config_yaml, open_lanes, open_money
from evalharness.cli.execution.cost_prompt import asks, confirm, recorded
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.prepare import Prepared, prepare
from evalharness.cli.execution.run_distributed import fetches_journals, run_distributed
from evalharness.cli.execution.run_summary import closing_lines
from evalharness.cli.execution.signals import draining
from evalharness.distributed.leases import out, refuse_open
from evalharness.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    ConfigError,
    EvalharnessError,
    StorageError,
)
from evalharness.planning.plan import Plan
from evalharness.process.stdio import caused_by, settle
from evalharness.process.text import plural
from evalharness.records import Setting
from evalharness.runner import Runner, Stop, Summary
from evalharness.runner.progress import progress_for_terminal
from evalharness.store.folder.current_plan import Asked
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.duplicate_attempts import drop_recorded
from evalharness.store.remote.locations import hold, publish, run_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def execute_run(
    jobs: list[Job],
    *,
    arguments: Sequence[str] = (),
    yes: bool = False,
    retry_errors: bool = False,
    lock: int | None = None,
) -> Result:
    """Run (or continue) the sweep that ``jobs`` describe and print its report.

    Args:
        jobs: composed configurations; the first names the run folder.
        arguments: of the command, for the line that resumes it.
        yes: do not ask before a dear run.
        retry_errors: trials that an earlier session recorded as errors are asked again.
        lock: of the run folder, where it is held already (see
            :mod:`~evalharness.cli.execution.claim_folder`).
    """
    config = jobs[0].config
    if retry_errors and config.load is not None:
        raise ConfigError(
            "--retry-errors would take errors out of load points that were measured",
            hint="another name=… measures them anew",
        )
    root = run_root(config)
    lock = hold(config) if lock is None else lock
    try:
        prepared = prepare([job.config for job in jobs])
        if asks(prepared, yes=yes):
            confirm(prepared, recorded(prepared)[0], what="This run")
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise
    store = RunStore(root, code_version=__version__, lock=lock)
    try:
        if not fetches_journals(config.execution):
            refuse_open(root)
        orphaned = store.save_plan(
            config_yaml=config_yaml(jobs),
            prompts=prepared.plan.prompts,
            digests=prepared.plan.digests,
            settings=prepared.plan.settings,
            planned=len(prepared.plan),
        )
        if retry_errors:
            _reopen(store, prepared.plan)
        keys = store.done_keys()
        drop_recorded(store, keys)
        done = prepared.plan.done_map(keys)
    except BaseException:
        store.close()
        raise
    if len(keys):  # on a first run what looks at them need not be imported
        _say_orphans(orphaned, len(keys) - len(Asked.of(Run.open(root)).rows(keys)))
    if config.load is not None:
        summary = run_on_loop(_run_load(prepared, store))
    elif done.all() and not out(root):
        summary = run_on_loop(_nothing_to_send(store, prepared.plan))
    else:
        summary = run_on_loop(_run(prepared, store, done))
    return _conclude(root, summary, arguments)


def _reopen(store: RunStore, plan: Plan) -> None:
    count = store.reopen_errors(prompts=plan.prompts, repeats=plan.repeats)
    print(f"{plural(count, 'trial')} recorded as errors, asked again", file=sys.stderr)


def _say_orphans(orphaned: list[Setting], records: int) -> None:
    """What an earlier plan recorded and this one does not ask for: it stays, out of reports."""
    if not records:
        return
    names = "; ".join(s.label for s in orphaned[:5])
    more = "" if len(orphaned) <= 5 else f" and {len(orphaned) - 5} more"
    settings = f", nor {plural(len(orphaned), 'setting')}: {names}{more}" if orphaned else ""
    print(
        f"{plural(records, 'recorded trial')} not in this plan{settings}. They stay in the folder; "
        "report --all shows them",
        file=sys.stderr,
    )


async def _nothing_to_send(store: RunStore, plan: Plan) -> Summary:
    store.start()
    summary = Summary(planned=len(plan), already_recorded=len(plan))
    await store.finish(status="complete", reason=None)
    return summary


async def _run(prepared: Prepared, store: RunStore, done: NDArray[np.bool_]) -> Summary:
    plan = prepared.plan
    progress = progress_for_terminal()
    async with AsyncExitStack() as stack:
        stack.callback(progress.close)
        try:
            if plan.config.execution.engine == "ray":
                summary = await run_distributed(prepared, store, done, progress)
                await _finish(store, summary)
                return summary
            lanes = await open_lanes(prepared, stack, progress)
            money = open_money(prepared, store)
            runner = Runner(plan, store, lanes, money=money, progress=progress)
            progress.start(total=len(plan), done=int(done.sum()), label=plan.config.name)
            with draining(runner, progress):
                summary = await runner.run(done)
                await _finish(store, summary)
        except BaseException:
            store.close()
            raise
        return summary


async def _run_load(prepared: Prepared, store: RunStore) -> Summary:
    from evalharness.cli.execution.run_benchmark import run_load

    try:
        summary = await run_load(prepared, store)
        store.folder.save_manifest(planned=summary.planned)
        await _finish(store, summary)
    except BaseException:
        store.close()
        raise
    return summary


async def _finish(store: RunStore, summary: Summary) -> None:
    """Seal and let the folder go; a disk that fails now is one more reason to have stopped."""
    stop = summary.stop
    if stop is not None and (summary.remaining or stop.status != "interrupted"):
        status, reason = stop.status, stop.reason
    else:
        status, reason = ("interrupted" if summary.remaining else "complete"), None
    try:
        await store.finish(status=status, reason=reason)
    except StorageError as error:
        summary.stop = Stop.because(error)
    summary.recorded -= store.journal.lost_records
    summary.unsaved += store.journal.lost_records
    summary.quarantined = store.damaged


def _conclude(root: Path, summary: Summary, arguments: Sequence[str]) -> Result:
    """Print the report and, last, what a person should do next."""
    objective, failed = None, EXIT_OK
    if summary.already_recorded or summary.recorded:
        objective, failed = _report(root)
        failed = _uploaded(root) or failed
    for line in closing_lines(root, summary, arguments):
        print(line, file=sys.stderr)
    return Result(summary.exit_code or failed, objective)


def _uploaded(root: Path) -> int:
    """Upload the report where the run is in an object store; an exit code where that failed."""
    try:
        publish(root)
    except StorageError as error:
        print(f"the report is not uploaded: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


def _report(root: Path) -> tuple[float | None, int]:
    """Print the report: the objective, and an exit code where there was none to be had.

    What happened, and how to go on, must be said also then.
    """
    from evalharness.cli.commands.report import print_report

    try:
        objective = print_report(root)
        sys.stdout.flush()
    except EvalharnessError as error:
        print(f"no report: {error}", file=sys.stderr)
        return None, error.exit_code
    except (BrokenPipeError, SystemExit) as stop:
        if not caused_by(stop, BrokenPipeError):
            raise
        settle(sys.stdout)  # its reader has left, as `| head` does
        return None, EXIT_OK
    except OSError as error:
        settle(sys.stdout)
        print(f"the report cannot be written: {error.strerror or error}", file=sys.stderr)
        return None, EXIT_STORAGE
    except KeyboardInterrupt:
        print("no report: interrupted", file=sys.stderr)
        return None, EXIT_INTERRUPTED
    return objective, EXIT_OK
