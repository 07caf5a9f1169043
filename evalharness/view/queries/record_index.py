"""The narrow columns of a run's records in a database of our own, so that filters take no time.

The parts stay where they are: outputs and other wide columns are read from them, for the rows that
are shown. What only the journal of a running run holds is copied into a file as one more part.
Rows are numbered in the order of the parts, which are only ever added to, or written again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from itertools import takewhile
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from evalharness.columnar.arrow_ops import where_not_in
from evalharness.errors import RunNotFoundError, StorageError
from evalharness.store.folder.run import Run
from evalharness.store.parts.part_files import PATTERN, read_sealed
from evalharness.view.queries.connection import require_database
from evalharness.view.queries.file_stamps import Stamp, journal_stamps, mark_stamps, stamps
from evalharness.view.queries.part_queries import (
    RecordPart,
    SqlPart,
    literal,
    literals,
    sql_type,
    wide_rows,
)
from evalharness.view.queries.query_caches import QueryCaches
from evalharness.view.queries.record_columns import NARROW, WIDE, ColumnSet

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    Connection = duckdb.DuckDBPyConnection

_MESSAGES = "array_to_string(json_extract_string(messages_json, '$[*].content'), '\n')"
_FIELDS = "array_to_string(json_extract_string(fields_json, '$.*'), '\n')"


#: Of the records, and of the marks.
Version = tuple[int, int]


class RecordIndex:
    """The index of one run; every use of it holds :attr:`lock`.

    Args:
        database: that of all indexes.
        number: tells the tables of this one from others.
        folder: for files of our own.

    Attributes:
        lock: a change of the tables and a page made of them do not overlap.
        is_begun: whether there is an index; after a failure it is made anew.
        generation: grows with every change.
        parts: the files with the records, of which the last may be one of our own.
        columns: those that can be shown.
        scored: the version that the scores are of; None without any.
        caches: what was found last.
        folder: for files of our own.
    """

    def __init__(self, database: Connection, number: int, folder: Path) -> None:
        self._database = database
        self._number = number
        self.folder = folder
        self._plan: list[Stamp] = []
        self._journal: list[Stamp] = []
        self._root = Path()
        self.lock = RLock()
        self.is_begun = False
        self.generation = 0
        self.parts: list[RecordPart] = []
        self.unsealed: Path | None = None
        self.columns = ColumnSet(None, False)
        self.scored: Version | None = None
        self.caches = QueryCaches()
        self._tables = 0
        self._marks: list[Stamp] = []
        self._marked = 0

    def table(self, name: str) -> str:
        """The name of a table of this index: records, prompts, settings or parts."""
        return f"{name}_{self._number}"

    def new_table(self, name: str) -> str:
        """A name that no table has."""
        self._tables += 1
        return f"{name}_{self._number}_{self._tables}"

    def file(self, name: str) -> Path:
        """A file of our own that belongs to this index as it is now."""
        return self.folder / f"{name}-{self._number}-{self.generation}-{self._marked}.parquet"

    def temporary_file(self) -> Path:
        """A file of our own that there is not yet."""
        return self.folder / f"{self.new_table('file')}.parquet"

    @property
    def version(self) -> Version:
        """What the scores depend on: the records, and marks where they are scores."""
        return self.generation, self._marked

    @property
    def size(self) -> int:
        """How many records there are."""
        return sum(part.rows for part in self.parts)

    def cursor(self) -> Connection:
        """A connection for one query."""
        return self._database.cursor()

    def refresh(self, run: Run) -> None:
        """Take in what was recorded since.

        Raises:
            StorageError: a file is damaged.
            RunNotFoundError: the run is not there any more.
        """
        marks = mark_stamps(run)
        if marks != self._marks:
            self._marks, self._marked = marks, self._marked + 1
        plan = stamps([run.root / "settings.parquet", run.root / "prompts.parquet"])
        journal = journal_stamps(run.root)
        sealed = stamps(sorted((run.root / "records").glob(PATTERN)))
        own = self.parts[-1:] if self.unsealed is not None else []
        known = [part.stamp for part in self.parts[: len(self.parts) - len(own)]]
        if self.is_begun and (plan, journal, sealed) == (self._plan, self._journal, known):
            return
        self._root = run.root
        unsealed = run.unsealed("records")
        # What was sealed while the journal was read is in a part now.
        sealed = stamps(sorted((run.root / "records").glob(PATTERN)))
        with self.reading():
            self._take_in(run, plan, sealed, unsealed)
        self._plan, self._journal, self.is_begun = plan, journal, True

    def _take_in(
        self, run: Run, plan: list[Stamp], sealed: list[Stamp], unsealed: pa.Table | None
    ) -> None:
        cursor = self.cursor()
        if not self.is_begun or plan != self._plan:
            self._create(cursor, run)
            self.parts = []
        pairs = zip(self.parts, sealed, strict=False)
        unchanged = len(list(takewhile(lambda pair: pair[0].stamp == pair[1], pairs)))
        self.generation += 1
        self._drop_searches(cursor)
        self._forget(cursor, unchanged)
        self._add(cursor, sealed[unchanged:])
        outdated, self.unsealed = self.unsealed, None
        if unsealed is not None and len(unsealed):
            unsealed = where_not_in(unsealed, "trial_id", self._known(cursor, unsealed))
            if len(unsealed):
                self.unsealed = self.file("unsealed")
                _write(unsealed, self.unsealed)
                self._add(cursor, stamps([self.unsealed]))
        if outdated is not None:
            outdated.unlink(missing_ok=True)

    def _create(self, cursor: Connection, run: Run) -> None:
        self.drop(cursor)
        self.columns, self.scored = ColumnSet(None, False), None
        narrow = ", ".join(f"{name} {sql_type('records', name)}" for name in NARROW)
        cursor.execute(
            f"CREATE TABLE {self.table('records')} "
            f"(row INTEGER, {narrow}, prompt_no INTEGER, setting_no INTEGER)"
        )
        cursor.execute(f"CREATE TABLE {self.table('parts')} (path VARCHAR, start INTEGER)")
        settings = self.table("settings")
        cursor.execute(f"CREATE TABLE {settings} (no INTEGER, setting_id VARCHAR, label VARCHAR)")
        listed = run.setting_list
        cursor.execute(
            f"INSERT INTO {settings} SELECT unnest(?), unnest(?), unnest(?)",
            [[*range(len(listed))], [s.setting_id for s in listed], [s.label for s in listed]],
        )
        self._create_prompts(cursor, run.root / "prompts.parquet")

    def _create_prompts(self, cursor: Connection, path: Path) -> None:
        """The prompts with their texts as one, as they are searched and shown."""
        prompts = self.table("prompts")
        cursor.execute(
            f"CREATE TABLE {prompts} (no INTEGER, prompt_id VARCHAR, shown VARCHAR, "
            "target VARCHAR, tags VARCHAR[])"
        )
        if not path.exists():
            return
        names = ("prompt_id", "messages_json", "fields_json", "target_json", "tags")
        columns = [(name, sql_type("prompts", name)) for name in names]
        present = self._columns_of(cursor, [str(path)])[str(path)]
        taken = ", ".join(
            name if name in present else f"NULL::{kind} AS {name}" for name, kind in columns
        )
        cursor.execute(
            f"""
            INSERT INTO {prompts} SELECT no, prompt_id,
                CASE WHEN json_valid(messages_json) THEN {_MESSAGES}
                     WHEN json_valid(fields_json) THEN {_FIELDS} END,
                CASE WHEN json_valid(target_json) THEN json_extract_string(target_json, '$') END,
                coalesce(tags, [])
            FROM (SELECT file_row_number AS no, {taken}
                  FROM read_parquet(?, file_row_number = true, hive_partitioning = false))
            """,
            [literal(str(path))],
        )

    def _forget(self, cursor: Connection, unchanged: int) -> None:
        """Forget the rows of all parts but the first ones."""
        outdated = self.parts[unchanged:]
        if outdated:
            for table, column in (("records", "row"), ("parts", "start")):
                cursor.execute(
                    f"DELETE FROM {self.table(table)} WHERE {column} >= ?", [outdated[0].start]
                )
        self.parts = self.parts[:unchanged]

    def _add(self, cursor: Connection, files: Sequence[Stamp]) -> None:
        """Copy the narrow columns of files."""
        paths = [file.path for file in files]
        if not paths:
            return
        columns = self._columns_of(cursor, paths)
        counts: dict[str, int] = dict(
            cursor.execute(
                "SELECT file_name, num_rows FROM parquet_file_metadata(?)", [literals(paths)]
            ).fetchall()
        )
        start, added = self.size, list[RecordPart]()
        for file in files:
            added.append(RecordPart(file, start, counts[file.path], columns[file.path]))
            start += counts[file.path]
        cursor.execute(
            f"INSERT INTO {self.table('parts')} SELECT unnest(?), unnest(?)",
            [paths, [part.start for part in added]],
        )
        wide = self.wide_rows(added, NARROW)
        cursor.execute(
            f"""
            INSERT INTO {self.table("records")} BY NAME
            SELECT w.*, p.no AS prompt_no, s.no AS setting_no FROM ({wide.sql}) w
            LEFT JOIN {self.table("prompts")} p ON p.prompt_id = w.prompt_id
            LEFT JOIN {self.table("settings")} s ON s.setting_id = w.setting_id
            """,
            wide.values,
        )
        self.parts = [*self.parts, *added]

    def wide_rows(
        self,
        parts: Sequence[RecordPart],
        names: Sequence[str] = WIDE,
        numbers: Sequence[int] | None = None,
    ) -> SqlPart:
        """As :func:`.part_queries.wide_rows`."""
        return wide_rows(parts, names, starts=self.table("parts"), numbers=numbers)

    def add_scores(self, path: Path, columns: ColumnSet, version: Version) -> None:
        """Take in a file of scores, unless they are there, or of another version.

        The lock is held only for the exchange of the tables.
        """
        with self.lock:
            if self.scored == version or self.version != version:
                return
        scored = self.new_table("scored")
        narrow = ", ".join(f"r.{name}" for name in ("row", *NARROW, "prompt_no", "setting_no"))
        cursor, records = self.cursor(), self.table("records")
        cursor.execute(
            f"CREATE OR REPLACE TABLE {scored} AS SELECT {narrow}, s.* EXCLUDE (row) "
            f"FROM {records} r LEFT JOIN read_parquet(?) s ON s.row = r.row",
            [literal(str(path))],
        )
        with self.lock:
            if self.scored == version or self.version != version:
                cursor.execute(f"DROP TABLE IF EXISTS {scored}")
                return
            cursor.execute(f"DROP TABLE {records}")
            cursor.execute(f"ALTER TABLE {scored} RENAME TO {records}")
            self.columns, self.scored = columns, version
            self._drop_searches(cursor)

    def drop(self, cursor: Connection) -> None:
        """Remove the tables."""
        for name in ("records", "parts", "settings", "prompts"):
            cursor.execute(f"DROP TABLE IF EXISTS {self.table(name)}")
        self._drop_searches(cursor)

    def _drop_searches(self, cursor: Connection) -> None:
        for table in self.caches.searches.values():
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
        self.caches = QueryCaches()

    @contextlib.contextmanager
    def reading(self) -> Generator[None]:
        """Turn a failure of a query into one that names the file.

        Raises:
            StorageError, RunNotFoundError: a file is damaged, or the run is gone.
            ConfigError: DuckDB is not installed.
        """
        duckdb = require_database()
        try:
            yield
        except (duckdb.Error, OSError) as error:
            self.is_begun = False
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> Exception:
        if not self._root.is_dir():
            return RunNotFoundError(f"{self._root} is gone", hint="the list has all runs")
        files = [self._root / "prompts.parquet", *sorted((self._root / "records").glob(PATTERN))]
        for path in files:
            try:
                read_sealed(path)
            except StorageError as damage:
                return damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return StorageError(f"the records of {self._root} cannot be read: {reason}")

    def _known(self, cursor: Connection, unsealed: pa.Table) -> Any:
        ids = unsealed["trial_id"].to_pylist()
        query = f"SELECT trial_id FROM {self.table('records')} WHERE trial_id IN (SELECT unnest(?))"
        return cursor.sql(query, params=[ids]).to_arrow_table()["trial_id"]

    def _columns_of(self, cursor: Connection, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        names: dict[str, set[str]] = {path: set() for path in paths}
        query = "SELECT file_name, name FROM parquet_schema(?)"
        for path, name in cursor.execute(query, [literals(paths)]).fetchall():
            names[path].add(name)
        return {path: frozenset(columns) for path, columns in names.items()}


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    parquet: Any = pyarrow.parquet
    parquet.write_table(table, path)
