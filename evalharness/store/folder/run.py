"""Run: a run folder opened for reading, also while another process writes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import conform, read_batches, select_schema, where_not_in
from evalharness.config.stored_config import StoredConfig, parse_stored_configs, unreadable_config
from evalharness.errors import LostManifestError, RunNotFoundError, StorageError
from evalharness.process.text import closest, did_you_mean
from evalharness.records import AttemptResult, Setting
from evalharness.schema import arrow_schema
from evalharness.store.folder.run_folder import CONFIG, MANIFEST, Manifest, read_manifest
from evalharness.store.folder.run_patterns import RESULTS, holds_run, is_pattern, match_one
from evalharness.store.journal.arrow_buffers import empty_table
from evalharness.store.journal.journal_format import (
    Damage,
    connect_for_reading,
    read_entries,
    read_quarantine,
)
from evalharness.store.journal.worker_journals import journal_paths
from evalharness.store.parts.part_files import PATTERN, damaged_file_error, read_sealed
from evalharness.store.parts.setting_columns import columns_by_setting, with_unique_labels
from evalharness.store.parts.streaming_read import Snapshot
from evalharness.store.parts.to_arrow import attempt_table, record_table, settings_from_table
from evalharness.store.remote.addresses import is_url
from evalharness.store.remote.sync import find_sync

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def find_run(run: str | Path, *, results: Path = RESULTS, without_manifest: bool = False) -> Path:
    """The folder of a run given by name, path or URL (then the local copy, brought up to date).

    Args:
        run: name, path or URL, or a pattern that matches one run.
        results: where runs are found by name.
        without_manifest: also a folder that has lost its manifest, but holds a run's files.

    Raises:
        RunNotFoundError: there is none; the message lists the runs there are.
        ConfigError: a pattern matches several.
        StorageError: an object store refused.
    """
    if is_pattern(str(run)):
        run = match_one(str(run), results=results)
    if is_url(str(run)):
        from evalharness.store.remote.locations import fetch_run

        return fetch_run(str(run))
    candidates = list(dict.fromkeys((results / run, Path(run))))
    for candidate in candidates:
        if (candidate / MANIFEST).is_file():
            return candidate
    for candidate in candidates:
        if holds_run(candidate):
            if without_manifest:
                return candidate
            raise LostManifestError(
                f"{candidate} has no {MANIFEST}",
                hint=f"evalharness verify {shlex.quote(str(run))} --repair rebuilds it",
            )
    raise _no_run(str(run), candidates, results)


def _no_run(run: str, candidates: Sequence[Path], results: Path) -> RunNotFoundError:
    names = sorted(p.parent.name for p in results.glob(f"*/{MANIFEST}"))
    listing = f"runs here: {', '.join(names)}" if names else "there are no runs yet"
    close = closest(Path(run).name, names)
    known = "" if Path(run).name != run or close is None else f"{did_you_mean(close)} "
    by_path = len(candidates) == 1 or Path(run).name != run
    places = f"{candidates[-1]} holds" if by_path else f"neither {candidates[0]} nor ./{run} holds"
    return RunNotFoundError(
        f"no run `{run}`: {places} {'no' if by_path else 'a'} {MANIFEST}",
        hint=f"{known}{listing}; evalharness run makes one",
    )


def _require_records(root: Path, manifest: Manifest) -> None:
    """Refuse a folder that has lost every record, instead of showing an empty run.

    Raises:
        StorageError: they are gone.
    """
    records = [root / part.path for part in manifest.parts if part.path.startswith("records/")]
    if records and not any(path.exists() for path in records):
        raise StorageError(
            f"{records[0]} and every other file of records are missing",
            hint="put a copy back if you have one; else the same evalharness run, once more, asks "
            f"again (evalharness verify {shlex.quote(str(root))} tells what is there)",
        )


class Run:
    """The tables of one run: sealed Parquet parts, and rows that are still in the journal.

    ``records()``, ``attempts()``, ``prompts()`` and ``settings()`` are pandas DataFrames with the
    columns of ``docs/schema.md``; :meth:`table` gives the same as Arrow, with fewer copies.
    ``damage`` lists what was damaged in the journal when records or attempts were last read.
    Entries that do not match their checksum are never returned.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.damage: list[Damage] = []

    @classmethod
    def open(cls, run: str | Path) -> Run:
        """Open by name under ``results/``, by path or by URL.

        Raises:
            RunNotFoundError: there is no such run, or its manifest is damaged.
            StorageError: every file of records is gone.
        """
        root = find_run(run)
        manifest = read_manifest(root)
        assert manifest is not None
        _require_records(root, manifest)
        return cls(root, manifest)

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.root.name

    @property
    def location(self) -> str:
        """What a command takes for this run: its name under ``results/``, else its URL or path."""
        sync = find_sync(self.root)
        if sync is not None:
            return sync.url
        return self.name if self.root == RESULTS / self.name else str(self.root)

    @property
    def config_yaml(self) -> str | None:
        """The resolved configuration, or None for an imported run.

        Raises:
            ConfigError: it is no text.
        """
        path = self.root / CONFIG
        try:
            return path.read_text("utf-8") if path.exists() else None
        except UnicodeDecodeError:
            raise unreadable_config("it is not UTF-8") from None

    def configs(self) -> Iterator[StoredConfig]:
        """The resolved configuration of each job; the defaults for an imported run.

        Raises:
            ConfigError: it cannot be read.
        """
        text = self.config_yaml
        return iter([StoredConfig()]) if text is None else parse_stored_configs(text)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """``records``, ``attempts``, ``prompts`` or ``settings`` as an Arrow table.

        Raises:
            StorageError: a file is damaged; the message names it.
        """
        if name in ("prompts", "settings"):
            return self._plan_table(name, columns)
        return self._parts_and_journal(name, columns)

    def snapshot(self, name: str) -> Snapshot:
        """``records`` or ``attempts`` at this moment, to be read part by part."""
        # The journal first: see _parts_and_journal.
        unsealed = self.unsealed(name)
        paths = sorted((self.root / name).glob(PATTERN))
        if unsealed is not None and len(unsealed):
            unsealed = where_not_in(unsealed, "trial_id", self._sealed_ids(name))
        return Snapshot(name, paths, unsealed)

    def sample(self, name: str, columns: list[str], limit: int) -> pa.Table:
        """Up to ``limit`` rows, for a preview of wide columns: the journal's, else a part's.

        Trials are recorded in shuffled order, so any range of them holds all settings.
        """
        import pyarrow as pa

        unsealed = self.unsealed(name)
        parts = sorted((self.root / name).glob(PATTERN))
        tables = [unsealed.select(columns)] if unsealed is not None else []
        tables += [_first_rows(path, columns, limit) for path in parts[-1:]]
        return pa.concat_tables(
            [select_schema(arrow_schema(name), columns).empty_table(), *tables]
        )[:limit]

    def count_unsealed(self) -> int:
        """Records that only the journal holds; those whose seal is going on may be counted."""
        results: dict[tuple[str, int], AttemptResult] = {}
        for path in journal_paths(self.root):
            self._read_journal(path, results)
        return len({result.intent.trial_id for result in results.values() if result.final})

    def records(self) -> pd.DataFrame:
        """One row a trial."""
        return _to_pandas(self.table("records"))

    def attempts(self) -> pd.DataFrame:
        """One row an HTTP attempt."""
        return _to_pandas(self.table("attempts"))

    def prompts(self) -> pd.DataFrame:
        """One row a prompt."""
        return _to_pandas(self.table("prompts"))

    def settings(self) -> pd.DataFrame:
        """One row a setting."""
        return _to_pandas(self.table("settings"))

    @cached_property
    def setting_list(self) -> list[Setting]:
        """Settings of the newest plan first, then those of earlier plans."""
        return [s for s, _ in settings_from_table(self.table("settings"))]

    def _plan_table(self, name: str, columns: list[str] | None) -> pa.Table:
        path = self.root / f"{name}.parquet"
        if not path.exists():
            schema = arrow_schema(name)
            if columns is not None:
                schema = select_schema(schema, columns)
            return empty_table(schema)
        table = read_sealed(path, columns)
        return with_unique_labels(table) if name == "settings" else table

    def _parts_and_journal(self, name: str, columns: list[str] | None) -> pa.Table:
        import pyarrow as pa

        # The journal first: a seal finishing in between then shows a trial twice, never zero times.
        unsealed = self.unsealed(name)
        schema = arrow_schema(name)
        if columns is not None:
            schema = select_schema(schema, columns)
        tables = [read_sealed(path, columns) for path in sorted((self.root / name).glob(PATTERN))]
        sealed = pa.concat_tables([empty_table(schema), *tables])
        if unsealed is None or not len(unsealed):
            return sealed
        if len(sealed):
            ids = sealed["trial_id"] if "trial_id" in schema.names else self._sealed_ids(name)
            unsealed = where_not_in(unsealed, "trial_id", ids)
        return pa.concat_tables([sealed, unsealed.select(schema.names)])

    def _sealed_ids(self, name: str) -> Any:
        return self.table_of_parts(name, ["trial_id"])["trial_id"]

    def table_of_parts(self, name: str, columns: list[str]) -> pa.Table:
        """Columns of the sealed parts alone."""
        import pyarrow as pa

        paths = sorted((self.root / name).glob(PATTERN))
        schema = select_schema(arrow_schema(name), columns)
        return pa.concat_tables([empty_table(schema), *(read_sealed(p, columns) for p in paths)])

    def _read_journal(self, path: Path, results: dict[tuple[str, int], AttemptResult]) -> bool:
        """Add a journal's results, by trial and attempt; False without a readable journal."""
        try:
            db = connect_for_reading(path)
        except StorageError as error:  # sealed parts can still be read
            self.damage.append(Damage(0, error.message))
            return False
        if db is None:
            return False
        with closing(db):
            for _, value in read_entries(db, damage=self.damage):
                if isinstance(value, AttemptResult):
                    results[value.intent.trial_id, value.intent.attempt] = value
            self.damage += read_quarantine(db)
        return True

    def unsealed(self, name: str) -> pa.Table | None:
        """The ``records`` or ``attempts`` of the journal; those just sealed are in a part as well.

        None where there is no journal.
        """
        self.damage = []
        by_attempt: dict[tuple[str, int], AttemptResult] = {}
        were_read = [self._read_journal(path, by_attempt) for path in journal_paths(self.root)]
        if not any(were_read):
            return None
        results = list(by_attempt.values())
        if name == "attempts":
            return attempt_table(results)
        settings = columns_by_setting(self.setting_list)
        return record_table([r for r in results if r.final], settings)


def _to_pandas(table: Any) -> pd.DataFrame:
    """An Arrow table as pandas; Any because pyarrow's arguments are untyped."""
    return table.to_pandas()


def _first_rows(path: Path, columns: list[str], limit: int) -> pa.Table:
    import pyarrow as pa

    try:
        batch = next(read_batches(path, columns=columns, rows=limit), None)
    except (pa.ArrowException, OSError) as error:
        raise damaged_file_error(path, error) from error
    schema = select_schema(arrow_schema(path.parent.name), columns)
    if batch is None:
        return empty_table(schema)
    return conform(pa.Table.from_batches([batch]), schema)
