"""Run: a run folder opened for reading, at any moment, also while it is being written."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import batches, conform, only, where_not_in
from evalharness.errors import RunNotFoundError, StorageError
from evalharness.records import AttemptResult, Setting
from evalharness.schema import arrow_schema
from evalharness.store.folder.run_folder import CONFIG, MANIFEST, Manifest, read_manifest
from evalharness.store.journal.arrow_buffers import empty
from evalharness.store.journal.journal_format import (
    Damage,
    connect_for_reading,
    quarantined,
    read_entries,
)
from evalharness.store.journal.worker_journals import journal_paths
from evalharness.store.parts.part_files import PATTERN, damaged_file, read_sealed
from evalharness.store.parts.streaming_read import Snapshot
from evalharness.store.parts.to_arrow import attempt_table, record_table, settings_from
from evalharness.store.remote.object_store import is_url

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def find_run(run: str | Path, *, results: Path = Path("results")) -> Path:
    """The folder of a run given by name, path or URL (then the local copy, brought up to date).

    Raises:
        RunNotFoundError: there is none; the message lists the runs there are.
        StorageError: an object store refused.
    """
    if is_url(str(run)):
        from evalharness.store.remote.locations import fetched

        return fetched(str(run))
    for candidate in (results / run, Path(run)):
        if (candidate / MANIFEST).is_file():
            return candidate
    known = sorted(p.parent.name for p in results.glob(f"*/{MANIFEST}"))
    listing = f"runs here: {', '.join(known)}" if known else "there are no runs yet"
    raise RunNotFoundError(
        f"no run `{run}`: neither {results / run} nor {Path(run)} holds a {MANIFEST}",
        hint=f"{listing}; evalharness run makes one",
    )


class Run:
    """The tables of one run. Parts are sealed Parquet; what is still in the journal is added.

    ``records()``, ``attempts()``, ``prompts()`` and ``settings()`` are pandas DataFrames with the
    columns of ``docs/schema.md``; :meth:`table` gives the same as Arrow, with fewer copies.
    ``damage`` is what was found in the journal when records or attempts were last read: entries
    that do not match their checksum, now or earlier, are never returned.
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
        """
        root = find_run(run)
        manifest = read_manifest(root)
        assert manifest is not None
        return cls(root, manifest)

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.root.name

    @property
    def config_yaml(self) -> str | None:
        """The resolved configuration, or None for an imported run."""
        path = self.root / CONFIG
        return path.read_text() if path.exists() else None

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """``records``, ``attempts``, ``prompts`` or ``settings`` as an Arrow table.

        Raises:
            StorageError: a file is damaged; the message names it.
        """
        if name in ("prompts", "settings"):
            return self._single(name, columns)
        return self._parts_and_journal(name, columns)

    def snapshot(self, name: str) -> Snapshot:
        """``records`` or ``attempts`` as they are now, to be read part by part."""
        # The journal first: see _parts_and_journal.
        fresh = self._fresh(name)
        paths = sorted((self.root / name).glob(PATTERN))
        if fresh is not None and len(fresh):
            fresh = where_not_in(fresh, "trial_id", self._sealed_ids(name))
        return Snapshot(name, paths, fresh)

    def sample(self, name: str, columns: list[str], most: int) -> pa.Table:
        """Up to ``most`` rows for a look at wide columns: the journal's, else the newest part's.

        Trials are recorded in shuffled order, so any stretch of them holds all settings.
        """
        import pyarrow as pa

        fresh = self._fresh(name)
        parts = sorted((self.root / name).glob(PATTERN))
        tables = [fresh.select(columns)] if fresh is not None else []
        tables += [_head(path, columns, most) for path in parts[-1:]]
        return pa.concat_tables([only(arrow_schema(name), columns).empty_table(), *tables])[:most]

    def records(self) -> pd.DataFrame:
        """One row a trial."""
        return _frame(self.table("records"))

    def attempts(self) -> pd.DataFrame:
        """One row an HTTP attempt."""
        return _frame(self.table("attempts"))

    def prompts(self) -> pd.DataFrame:
        """One row a prompt."""
        return _frame(self.table("prompts"))

    def settings(self) -> pd.DataFrame:
        """One row a setting."""
        return _frame(self.table("settings"))

    @cached_property
    def setting_list(self) -> list[Setting]:
        """Settings of the newest plan first, then orphaned ones, as values."""
        return [s for s, _ in settings_from(self.table("settings"))]

    def _single(self, name: str, columns: list[str] | None) -> pa.Table:
        path = self.root / f"{name}.parquet"
        if not path.exists():
            schema = arrow_schema(name)
            if columns is not None:
                schema = only(schema, columns)
            return empty(schema)
        return read_sealed(path, columns)

    def _parts_and_journal(self, name: str, columns: list[str] | None) -> pa.Table:
        import pyarrow as pa

        # The journal first: a seal finishing in between then shows a trial twice, never zero times.
        fresh = self._fresh(name)
        schema = arrow_schema(name)
        if columns is not None:
            schema = only(schema, columns)
        tables = [read_sealed(path, columns) for path in sorted((self.root / name).glob(PATTERN))]
        sealed = pa.concat_tables([empty(schema), *tables])
        if fresh is None or not len(fresh):
            return sealed
        if len(sealed):
            ids = sealed["trial_id"] if "trial_id" in schema.names else self._sealed_ids(name)
            fresh = where_not_in(fresh, "trial_id", ids)
        return pa.concat_tables([sealed, fresh.select(schema.names)])

    def _sealed_ids(self, name: str) -> Any:
        return self.table_of_parts(name, ["trial_id"])["trial_id"]

    def table_of_parts(self, name: str, columns: list[str]) -> pa.Table:
        """Columns of the sealed parts alone."""
        import pyarrow as pa

        paths = sorted((self.root / name).glob(PATTERN))
        schema = only(arrow_schema(name), columns)
        return pa.concat_tables([empty(schema), *(read_sealed(p, columns) for p in paths)])

    def _read_journal(self, path: Path, found: dict[tuple[str, int], AttemptResult]) -> bool:
        """Add a journal's results, by trial and attempt; False where there is none to read."""
        try:
            db = connect_for_reading(path)
        except StorageError as error:  # what is sealed can be read all the same
            self.damage.append(Damage(0, error.message))
            return False
        if db is None:
            return False
        with closing(db):
            for _, value in read_entries(db, damage=self.damage):
                if isinstance(value, AttemptResult):
                    found[value.intent.trial_id, value.intent.attempt] = value
            self.damage += quarantined(db)
        return True

    def _fresh(self, name: str) -> pa.Table | None:
        self.damage = []
        found: dict[tuple[str, int], AttemptResult] = {}
        opened = [self._read_journal(path, found) for path in journal_paths(self.root)]
        if not any(opened):
            return None
        results = list(found.values())
        if name == "attempts":
            return attempt_table(results)
        providers = {s.setting_id: s.provider for s in self.setting_list}
        return record_table([r for r in results if r.final], providers)


def _frame(table: Any) -> pd.DataFrame:
    """An Arrow table as pandas; Any because pyarrow leaves its own arguments unknown."""
    return table.to_pandas()


def _head(path: Path, columns: list[str], most: int) -> pa.Table:
    import pyarrow as pa

    try:
        batch = next(batches(path, columns=columns, rows=most), None)
    except (pa.ArrowException, OSError) as error:
        raise damaged_file(path, error) from error
    schema = only(arrow_schema(path.parent.name), columns)
    if batch is None:
        return empty(schema)
    return conform(pa.Table.from_batches([batch]), schema)
