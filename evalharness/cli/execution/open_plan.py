"""The plan of a run in its folder: what is done of it, and what is not in it any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from evalharness.batch.resuming import settle_recorded
from evalharness.cli.compose import ComposedConfig
from evalharness.cli.execution.connections import config_yaml
from evalharness.cli.execution.prepare import PreparedRun
from evalharness.cli.execution.run_batch import refuse_waiting_batches
from evalharness.cli.execution.run_distributed import fetches_journals
from evalharness.config.models import LimitsConfig
from evalharness.distributed.leases import refuse_open_leases
from evalharness.planning.plan import Plan
from evalharness.process.text import plural
from evalharness.providers.tls import unverified
from evalharness.records import Setting
from evalharness.report.sections.replay.sentences import replay_lines
from evalharness.runner.control.changes import begin_session
from evalharness.store.folder.control_client import user_name
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.run import Run
from evalharness.store.folder.writer import RunStore
from evalharness.store.journal.duplicate_attempts import drop_duplicate_attempts
from evalharness.store.parts.replay_file import write_replay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def open_plan(
    store: RunStore, prepared: PreparedRun, jobs: list[ComposedConfig], *, retry_errors: bool
) -> NDArray[np.bool_]:
    """Save the plan; which of its trials are done.

    Args:
        store: of the run.
        prepared: its plan.
        jobs: its configurations, which are stored with it.
        retry_errors: trials that an earlier session recorded as errors are sent again.

    Raises:
        EvalharnessError: something of the run is still under way elsewhere.
    """
    root = store.folder.root
    if not fetches_journals(prepared.plan.config.execution):
        refuse_open_leases(root)
    if prepared.plan.config.execution.engine != "batch":
        refuse_waiting_batches(store)
    orphaned = store.save_plan(
        config_yaml=config_yaml(jobs),
        prompts=prepared.plan.prompts,
        digests=prepared.plan.digests,
        settings=prepared.plan.settings,
        planned=len(prepared.plan),
        unverified=unverified(prepared.providers.values()),
    )
    write_replay(root, prepared.plan.replay)
    for line in [] if prepared.plan.replay is None else replay_lines(prepared.plan.replay):
        print(line, file=sys.stderr)
    if retry_errors:
        _reopen_errors(store, prepared.plan)
    _begin_session(store, prepared.plan.config.limits)
    keys = store.done_keys()
    drop_duplicate_attempts(store, keys)
    done = prepared.plan.done_map(keys)
    if len(keys):  # a first run has no orphans, and need not import what finds them
        _print_orphans(orphaned, len(keys) - len(PlanFilter.of(Run.open(root)).select(keys)))
    if not store.recovery.waiting:
        settle_recorded(root)
    return done


def _begin_session(store: RunStore, limits: LimitsConfig) -> None:
    """Say what users had changed while an earlier session ran, and that it does not hold now."""
    before = store.folder.manifest.control
    control, sentences = begin_session(before, limits, user_name())
    if len(control) > len(before):
        store.folder.save_manifest(control=control)
    for sentence in sentences:
        print(sentence, file=sys.stderr)


def _reopen_errors(store: RunStore, plan: Plan) -> None:
    count = store.retry_errors(prompts=plan.prompts, repeats=plan.repeats)
    print(f"{plural(count, 'trial')} recorded as errors, asked again", file=sys.stderr)


def _print_orphans(orphaned: list[Setting], records: int) -> None:
    """Say which records of an earlier plan are not in this one: they stay, outside reports."""
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
