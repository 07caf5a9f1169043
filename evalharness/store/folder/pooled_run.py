"""Several runs of one plan, read as if they were one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from evalharness.process.text import plural
from evalharness.store.folder.current_plan import PlanFilter
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import Manifest
from evalharness.store.parts.pooled_snapshot import PooledSnapshot, RepeatNumbers

if TYPE_CHECKING:
    import pyarrow as pa

_DONE = ("complete", "imported")


class PooledRun(Run):
    """Runs of one plan as one; nothing is copied or written.

    Its settings, prompts and configuration are those of the last run. The repeats of each run come
    after those of the run before. It has no folder: what belongs to a folder, as judgings, is not
    there.

    Args:
        runs: of the same settings and prompts, in the order of time.

    Attributes:
        runs: as given.
        repeats: of each run, where its repeats come among those of all.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        counts = [_planned_repeats(run) for run in runs]
        total = sum(counts)
        self.repeats = [
            RepeatNumbers(sum(counts[:number]), count, total) for number, count in enumerate(counts)
        ]
        super().__init__(runs[-1].root.parent / _joined_name(runs), _joined_manifest(runs))

    @property
    def config_yaml(self) -> str | None:
        """The configuration of the last run."""
        return self.runs[-1].config_yaml

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """As :meth:`Run.table`."""
        if name in ("prompts", "settings"):
            return self.runs[-1].table(name, columns)
        import pyarrow as pa

        pairs = zip(self.runs, self.repeats, strict=True)
        tables = [each.renumber(run.table(name, columns)) for run, each in pairs]
        self._collect_damage()
        return pa.concat_tables(tables)

    def snapshot(self, name: str) -> PooledSnapshot:
        """As :meth:`Run.snapshot`."""
        snapshots = [run.snapshot(name) for run in self.runs]
        self._collect_damage()
        return PooledSnapshot(name, list(zip(snapshots, self.repeats, strict=True)))

    def sample(self, name: str, columns: list[str], limit: int) -> pa.Table:
        """As :meth:`Run.sample`: as many rows of each run."""
        import pyarrow as pa

        each = max(1, limit // len(self.runs))
        pairs = zip(self.runs, self.repeats, strict=True)
        tables = [numbers.renumber(run.sample(name, columns, each)) for run, numbers in pairs]
        return pa.concat_tables(tables)[:limit]

    def _collect_damage(self) -> None:
        self.damage = [damage for run in self.runs for damage in run.damage]


def _planned_repeats(run: Run) -> int:
    """Repeats of the plan; of an import as many as the highest number says."""
    repeats = PlanFilter.of(run).repeats
    if repeats is not None:
        return repeats
    numbers = np.asarray(run.table("records", ["repeat"])["repeat"], dtype=np.int64)
    return int(numbers.max(initial=-1)) + 1


def _joined_name(runs: Sequence[Run]) -> str:
    if len(runs) <= 2:
        return " + ".join(run.name for run in runs)
    return f"{runs[0].name} … {runs[-1].name} ({len(runs)} runs)"


def _joined_manifest(runs: Sequence[Run]) -> Manifest:
    """What is said of all runs together; facts that cannot be added are those of the last."""
    manifests = [run.manifest for run in runs]
    last = manifests[-1]
    unfinished = [run for run in runs if run.manifest.status not in _DONE]
    planned = [each.planned for each in manifests if each.planned is not None]
    by_status: Counter[str] = Counter()
    for each in manifests:
        by_status.update(each.by_status)
    return structs.replace(
        last,
        name=_joined_name(runs),
        status=unfinished[0].manifest.status if unfinished else last.status,
        reason=_unfinished_text(unfinished, len(runs)),
        created_at=min(each.created_at for each in manifests),
        updated_at=max(each.updated_at for each in manifests),
        planned=sum(planned) if len(planned) == len(runs) else None,
        recorded=sum(each.recorded for each in manifests),
        by_status=dict(by_status),
        in_doubt=sum(each.in_doubt for each in manifests),
        parts=[
            structs.replace(part, path=f"{run.name}/{part.path}")
            for run in runs
            for part in run.manifest.parts
        ],
        sessions=_all(each.sessions for each in manifests),
        throttle=_all(each.throttle for each in manifests),
        unverified=list(dict.fromkeys(_all(each.unverified for each in manifests))),
        notes=[
            f"{plural(len(runs), 'run')} of one plan as one: {runs[0].name} to {runs[-1].name}. "
            "Agreement and intervals are of outputs of all of them; evalharness trend tells "
            "whether one differs.",
            *_notes(runs),
        ],
    )  # fmt: skip


def _unfinished_text(unfinished: Sequence[Run], runs: int) -> str | None:
    if not unfinished:
        return None
    names = ", ".join(f"{run.name} {run.manifest.status}" for run in unfinished)
    return f"{len(unfinished)} of {runs} runs are not complete: {names}"


def _notes(runs: Sequence[Run]) -> list[str]:
    """The notes of each run, those that several have once."""
    by_note: dict[str, list[str]] = {}
    for run in runs:
        for note in run.manifest.notes:
            by_note.setdefault(note, []).append(run.name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
        for note, names in by_note.items()
    ]


def _all(lists: Any) -> list[Any]:
    return [item for each in lists for item in each]
