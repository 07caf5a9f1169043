"""Runs as commands of several runs name them: by name, path or URL, or by a tag."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.errors import ConfigError
from evalharness.process.text import first_names
from evalharness.store.folder.notes import read_notes
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST
from evalharness.store.folder.run_patterns import RESULTS
from evalharness.store.remote.sync import NOTES

if TYPE_CHECKING:
    import pyarrow as pa


def open_runs(
    names: Sequence[str], tag: str | None = None, *, command: str, alone: str
) -> list[Run]:
    """Open the runs of these names, and those under ``results/`` that have a tag.

    Args:
        names: patterns are expanded already.
        tag: None for none.
        command: of the user, for examples: ``evalharness trend``.
        alone: what to type for a single run: ``evalharness report``.

    Raises:
        ConfigError: there are fewer than two, or two are the same, have the same name or the same
            records.
        RunNotFoundError: one of the names is no run.
        StorageError: the notes or the records of a run are damaged.
    """
    runs = [Run.open(name) for name in names]
    if tag is not None:
        opened = {run.root.resolve() for run in runs}
        tagged = [Run.open(root) for root in _tagged(tag)]
        if not tagged:
            raise ConfigError(f"no run under {RESULTS}/ has the tag `{tag}`", hint=_tag_hint(tag))
        runs += [run for run in tagged if run.root.resolve() not in opened]
    if not runs:
        raise ConfigError(f"{command} needs runs, and none is named", hint=f"{command} 'nightly-*'")
    _require_distinct(runs)
    if len(runs) == 1:
        name = shlex.quote(runs[0].location)
        only = f"only `{runs[0].name}` has the tag `{tag}`" if tag else f"`{runs[0].name}` is one"
        raise ConfigError(
            f"{command} needs two runs or more, and {only}",
            hint=f"{command} BEFORE {name} (evalharness list shows the runs there are); "
            f"{alone} {name} is about one",
        )
    return runs


def _require_distinct(runs: Sequence[Run]) -> None:
    """Refuse runs that are the same, called the same, or copies of each other.

    Raises:
        ConfigError: two of them are.
    """
    seen: dict[str, Run] = {}
    for run in runs:
        other = seen.setdefault(run.name, run)
        if other is not run and other.root.resolve() == run.root.resolve():
            raise ConfigError(f"the run `{run.name}` is given twice", hint="leave one out")
        if other is not run:
            raise ConfigError(
                f"{other.root} and {run.root} have the same name", hint="rename one of the folders"
            )
    originals: dict[tuple[object, ...], Run] = {}
    for run in runs:
        files = tuple(part.sha256 for part in run.manifest.parts)
        identity = (run.manifest.name, run.manifest.created_at, *files)
        other = originals.setdefault(identity, run) if files else run
        if other is not run:
            raise ConfigError(
                f"`{run.name}` is a copy of `{other.name}`: all records are the same",
                hint="leave one of them out",
            )
    _require_other_records(runs)


def _require_other_records(runs: Sequence[Run]) -> None:
    """Refuse runs that hold the same records in other files, as one file imported twice.

    A true repeat of a plan has the same trials at other times. Records without a time are not
    compared: nothing tells a repeat with equal answers from a copy.

    Raises:
        ConfigError: two of them do.
    """
    alike: dict[tuple[int, float], list[Run]] = {}
    for run in runs:
        first = first_sent_at(run)
        if first is None:
            continue
        others = alike.setdefault((run.snapshot("records").num_rows, first), [])
        for other in others:
            if _recorded(run).equals(_recorded(other)):
                raise ConfigError(
                    f"`{run.name}` has the records of `{other.name}`: trials, times and texts are "
                    "the same",
                    hint="leave one of them out",
                )
        others.append(run)


def _recorded(run: Run) -> pa.Table:
    """What tells records from those of a repeat; texts do where times are rough, as mere days."""
    columns = ["trial_id", "sent_at", "latency_s", "text"]
    records: Any = run.table("records", columns)
    return records.sort_by("trial_id")


def _tagged(tag: str) -> list[Path]:
    """The runs under ``results/`` whose notes have the tag."""
    folders = [path.parent for path in sorted(RESULTS.glob(f"*/{NOTES}"))]
    return [
        folder
        for folder in folders
        if (folder / MANIFEST).is_file() and tag in read_notes(folder).tags
    ]


def _tag_hint(tag: str) -> str:
    """How to give the tag, and the tags that there are."""
    tags: dict[str, None] = {}
    for path in sorted(RESULTS.glob(f"*/{NOTES}")):
        tags |= dict.fromkeys(read_notes(path.parent).tags)
    known = f"; tags here: {first_names(list(tags))}" if tags else ""
    return f"evalharness note RUN --tag {shlex.quote(tag)} gives it to a run{known}"


def first_sent_at(run: Run) -> float | None:
    """When the first record of a run was sent, in seconds since the epoch; None without a time.

    Raises:
        StorageError: a file is damaged.
    """
    import pyarrow.compute

    compute: Any = pyarrow.compute
    first: datetime | None = None
    for part in run.snapshot("records").parts(["sent_at"]):
        earliest = compute.min(part["sent_at"]).as_py()
        if earliest is not None and (first is None or earliest < first):
            first = earliest
    return None if first is None else first.timestamp()


def made_at(run: Run) -> float:
    """When a run was made, or imported, in seconds since the epoch; 0 where that is no date."""
    try:
        when = datetime.fromisoformat(run.manifest.created_at)
    except ValueError:
        return 0.0
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def in_order_of_time(runs: Sequence[Run]) -> list[Run]:
    """Runs by the time of their first record; without one by when they were made.

    Raises:
        StorageError: a file is damaged.
    """
    begins: dict[str, float] = {}
    for run in runs:
        sent_at = first_sent_at(run)
        begins[run.name] = made_at(run) if sent_at is None else sent_at
    return sorted(runs, key=lambda run: (begins[run.name], run.name))
