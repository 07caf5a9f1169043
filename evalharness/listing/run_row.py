"""One run as a row: from its manifest, and from ``summary.json`` where that is of these records."""

from __future__ import annotations

from pathlib import Path

import msgspec

from evalharness.errors import EvalharnessError, StorageError
from evalharness.listing.report_figures import ReportFigures, decode_figures
from evalharness.listing.results_folder import RunFiles
from evalharness.records import SCHEMA_VERSION
from evalharness.store.folder.lock import holder_has_ended
from evalharness.store.folder.notes import RunNotes, decode_notes
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import UNFINISHED, Manifest, read_manifest
from evalharness.store.journal.batch_files import waiting_batches
from evalharness.store.remote.sync import NOTES

DAMAGED = "damaged"
#: What the status of a run can be.
STATUSES = ("complete", "running", "interrupted", "stopped", "imported", DAMAGED)


class FigureRange(msgspec.Struct, frozen=True, kw_only=True):
    """The least and the greatest value over the settings of a run that have one."""

    min: float
    max: float


class WaitingBatches(msgspec.Struct, frozen=True, kw_only=True):
    """The batches of a run that its provider has, or may have, by the run's own folder.

    Attributes:
        batches: how many.
        requests: in them.
    """

    batches: int
    requests: int


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run in ``evalharness list``; None is unknown.

    Attributes:
        run: what a command takes for it: name, path or URL.
        name: of the folder.
        created_at, updated_at: ISO 8601, in UTC: when it was begun, and last written.
        status: ``complete``, ``running``, ``interrupted``, ``stopped``, ``waiting`` (batches are
            under way at the provider), ``imported``, or ``damaged``. A run whose process was killed
            is ``interrupted``, or ``waiting``.
        problem: what is damaged, or None.
        models: of the settings of the newest plan.
        settings, prompts: of the newest plan.
        repeats: trials of each prompt under each setting; None also for a benchmark.
        waiting: the batches that its provider has, or may have; None where it has none, or where
            only its own folder tells (a run in an object store).
        records: trials recorded so far.
        planned: trials of the newest plan.
        errors: records whose status is ``error``; None while records are only in the journal.
        score, agreement, agreement_answer: as in the report, 0–1; over the settings.
        cost_usd: US dollars, with the prices of the run's newest report; None without a price.
        cost_unknown: trials whose cost is not in ``cost_usd``.
        setting_scores: mean scores of the settings, in the order of the report; empty without one.
        setting_costs_usd: what each of them came to, US dollars.
        tags, note: as given with ``evalharness note``.
    """

    run: str
    name: str
    created_at: str | None = None
    updated_at: str | None = None
    status: str
    problem: str | None = None
    models: list[str] = []
    settings: int | None = None
    prompts: int | None = None
    repeats: int | None = None
    waiting: WaitingBatches | None = None
    records: int | None = None
    planned: int | None = None
    errors: int | None = None
    score: FigureRange | None = None
    agreement: FigureRange | None = None
    agreement_answer: FigureRange | None = None
    cost_usd: float | None = None
    cost_unknown: int | None = None
    setting_scores: list[float | None] = []
    setting_costs_usd: list[float | None] = []
    tags: list[str] = []
    note: str | None = None


def read_row(files: RunFiles) -> ListedRun | None:
    """The row of a run folder, never an error of the run; None for a folder that holds no run.

    Raises:
        StorageError: an object store refused.
    """
    problems: list[str] = []
    notes = _notes(files, problems)
    try:
        manifest = _manifest(files)
    except (EvalharnessError, OSError) as error:
        problem = error.message if isinstance(error, EvalharnessError) else str(error)
        return _damaged(files, problem, notes)
    if manifest is None:
        if files.root is None:  # a folder of a store that is no run
            return None
        return _damaged(files, "run.json is missing", notes)
    if files.root is not None and _has_lost_records(files.root, manifest):
        return _damaged(files, "every file of records is missing", notes)
    figures, waiting = _figures(files, manifest, problems), _waiting(files)
    records, is_exact = _count_records(files, manifest)
    return ListedRun(
        run=files.location,
        name=files.name,
        created_at=manifest.created_at,
        updated_at=manifest.updated_at,
        status=_status(files, manifest, waiting),
        problem="; ".join(problems) or None,
        models=figures.models,
        settings=figures.n_settings,
        prompts=figures.n_prompts,
        repeats=figures.repeats(manifest.planned),
        waiting=waiting,
        records=records,
        planned=manifest.planned,
        errors=manifest.by_status.get("error", 0) if is_exact else None,
        score=_range(figures.scores),
        agreement=_range(figures.agreements),
        agreement_answer=_range(figures.answer_agreements),
        cost_usd=figures.cost_usd,
        cost_unknown=figures.cost_unknown,
        setting_scores=figures.setting_scores if figures.scores else [],
        setting_costs_usd=figures.setting_costs if figures.cost_usd is not None else [],
        tags=notes.tags,
        note=notes.note,
    )


def _damaged(files: RunFiles, problem: str, notes: RunNotes) -> ListedRun:
    return ListedRun(
        run=files.location,
        name=files.name,
        status=DAMAGED,
        problem=problem,
        tags=notes.tags,
        note=notes.note,
    )


def _manifest(files: RunFiles) -> Manifest | None:
    if files.root is not None:
        return read_manifest(files.root)
    content = files.read("run.json")
    if content is None:
        return None
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StorageError(f"run.json is damaged: {error}") from error
    if manifest.schema_version != SCHEMA_VERSION:
        raise StorageError(f"it was written with storage schema {manifest.schema_version}")
    return manifest


def _has_lost_records(root: Path, manifest: Manifest) -> bool:
    records = [root / part.path for part in manifest.parts if part.path.startswith("records/")]
    return bool(records) and not any(path.exists() for path in records)


def _notes(files: RunFiles, problems: list[str]) -> RunNotes:
    try:
        content = files.read(NOTES)
        return RunNotes() if content is None else decode_notes(content, NOTES)
    except OSError as error:
        problems.append(f"{NOTES}: {error.strerror}")
    except StorageError as error:
        problems.append(error.message)
    return RunNotes()


def _figures(files: RunFiles, manifest: Manifest, problems: list[str]) -> ReportFigures:
    """What the newest report says of these records, and what the plan says where there is none."""
    figures = None
    try:
        content = files.read("summary.json")
        figures = None if content is None else decode_figures(content)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        problems.append("summary.json cannot be read")
    if figures is not None and figures.run.updated_at == manifest.updated_at:
        return figures
    try:
        return ReportFigures.of_plan(files.read("settings.parquet"), files.read("prompts.parquet"))
    except (OSError, StorageError):
        problems.append("settings.parquet or prompts.parquet is damaged")
        return ReportFigures()


def _count_records(files: RunFiles, manifest: Manifest) -> tuple[int, bool]:
    """Trials recorded, and whether all of them are in the manifest's own counts.

    A run that is not finished has records in its journal; a store has no journal.
    """
    if files.root is None or manifest.status not in UNFINISHED:
        return manifest.recorded, True
    unsealed = Run(files.root, manifest).count_unsealed()
    return manifest.recorded + unsealed, unsealed == 0


def _waiting(files: RunFiles) -> WaitingBatches | None:
    states = [] if files.root is None else waiting_batches(files.root)
    if not states:
        return None
    return WaitingBatches(batches=len(states), requests=sum(s.requests for s in states))


def _status(files: RunFiles, manifest: Manifest, waiting: WaitingBatches | None) -> str:
    if manifest.status == "running" and files.root is not None and holder_has_ended(files.root):
        return "waiting" if waiting is not None else "interrupted"
    return manifest.status


def _range(values: list[float]) -> FigureRange | None:
    return FigureRange(min=min(values), max=max(values)) if values else None
