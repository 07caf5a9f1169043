"""The run: what it is, how far it came, and what to know about it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from evalharness.analysis import stats
from evalharness.report.build.context import BuildContext
from evalharness.report.build.open_run import RunData
from evalharness.report.section import Section
from evalharness.report.words.format_numbers import count_text


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was run, and how far it came.

    Attributes:
        name: of the run.
        status: running, complete, interrupted, stopped or imported.
        reason: why it was stopped or interrupted; null where there is nothing to say.
        created_at, updated_at: the run's beginning and its last change, ISO 8601 in UTC.
        code_version: of evalharness, which wrote the run.
        schema_version: of the stored files.
        planned: trials of the newest plan; null for an import.
        records: trials that this report is about.
        settings: how many.
        prompts: how many.
        prompts_with_target: prompts with an expected answer.
        clusters: clusters of prompts, those alone included; null where prompts name none.
        effective_clusters: how many equally large clusters would leave a mean as uncertain; null
            likewise.
        attempts: HTTP attempts; 0 for an import.
        attempts_in_doubt: attempts that were sent and whose outcome is unknown.
        damaged_journal_entries: entries of the journal that could not be read.
        notes: sentences to know about the run, as about the columns of an import.
        records_outside_plan: records left out because the newest plan does not ask for them.
    """

    name: str
    status: str
    reason: str | None
    created_at: str
    updated_at: str
    code_version: str
    schema_version: int
    planned: int | None
    records: int
    settings: int
    prompts: int
    prompts_with_target: int
    clusters: int | None = None
    effective_clusters: float | None = None
    attempts: int
    attempts_in_doubt: int
    damaged_journal_entries: int
    notes: list[str]
    records_outside_plan: int


def record_count_text(run: RunFacts) -> str:
    """The number of recorded trials, with the planned number where some are missing."""
    if run.planned is None or run.planned <= run.records:
        return count_text(run.records)
    return f"{run.records:,} of {run.planned:,} planned ({run.status})"


def _build(context: BuildContext) -> RunFacts:
    run_data, attempts = context.run_data, context.attempts
    run, manifest = run_data.run, run_data.run.manifest
    labels = run_data.frame.clusters
    return RunFacts(
        name=run.name,
        status=manifest.status,
        reason=manifest.reason,
        created_at=manifest.created_at,
        updated_at=manifest.updated_at,
        code_version=manifest.code_version,
        schema_version=manifest.schema_version,
        planned=_planned(run_data, context.source.overrides.settings),
        records=len(run_data.records),
        settings=len(run_data.settings),
        prompts=len(run_data.prompts),
        prompts_with_target=len(run_data.prompts) - run_data.prompts["target_json"].null_count,
        clusters=None if labels is None else np.unique(labels).size,
        effective_clusters=None if labels is None else stats.effective_clusters(labels),
        attempts=attempts.total,
        attempts_in_doubt=attempts.in_doubt,
        damaged_journal_entries=len(run.damage),
        notes=manifest.notes,
        records_outside_plan=run_data.outside,
    )


def _planned(run_data: RunData, only: Sequence[str]) -> int | None:
    """The planned trials of what is reported; of some settings the plan says it where it can."""
    if not only:
        return run_data.run.manifest.planned
    plan = run_data.plan_filter
    if plan is None or plan.repeats is None:
        return None
    return plan.repeats * len(plan.settings) * len(plan.prompts)


RUN: Section[RunFacts] = Section("run", RunFacts, _build, title="what was run, and how far it came")
