"""Which records a filter finds, in its order, and what is shown of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.view.queries.marks import RecordMarks
from evalharness.view.queries.part_queries import SqlPart
from evalharness.view.queries.record_columns import WIDE, RecordColumn, find_column
from evalharness.view.queries.record_conditions import Choices, check_choices, conditions
from evalharness.view.queries.record_filter import BadParameterError, RecordFilter
from evalharness.view.queries.record_index import RecordIndex

if TYPE_CHECKING:
    import pyarrow as pa

PAGE_ROWS = 50
_NEAR_ROWS = 5_000  # so many rows are sorted faster than all of them
_BATCH_ROWS = 1_000  # of an export
_JOINS = {
    "p": "LEFT JOIN {prompts} p ON p.no = r.prompt_no",
    "s": "LEFT JOIN {settings} s ON s.no = r.setting_no",
    "m": "LEFT JOIN (SELECT unnest(?::VARCHAR[]) AS trial_id, unnest(?::VARCHAR[]) AS mark, "
    "unnest(?::VARCHAR[]) AS note) m "
    "ON m.trial_id = r.trial_id",
}
_OUTPUTS = ("w.text", "w.refusal", "w.tool_calls_json")
_PROMPT_TEXTS = ("prompt_id", "shown")
_ALIAS = re.compile(r"\b([psmw])\.")


class RecordPage(NamedTuple):
    """What a filter finds.

    Attributes:
        hits: how many records.
        rows: of the page: the values of the columns by name, with ``trial_id``, ``prompt_id`` and
            ``status``.
    """

    hits: int
    rows: list[dict[str, Any]]


class RecordQuery:
    """Asks an index, whose lock the caller holds.

    Args:
        index: of the run.
        marks: what people say of its records.
        regressions: the file with what regressed; None where the filter needs none.
    """

    def __init__(
        self, index: RecordIndex, marks: RecordMarks, regressions: Path | None = None
    ) -> None:
        self._index = index
        self._marks = marks
        self._regressions = regressions

    def choices(self) -> Choices:
        """What filters can choose among."""
        known = self._index.caches.choices
        if known is not None:
            return known
        ask, table = self._index.cursor(), self._index.table
        settings = f"SELECT setting_id, label FROM {table('settings')} ORDER BY no"
        tags = f"SELECT DISTINCT unnest(tags) AS tag FROM {table('prompts')} ORDER BY tag"
        reasons = (
            f"SELECT DISTINCT finish_reason FROM {table('records')} "
            "WHERE finish_reason IS NOT NULL ORDER BY finish_reason"
        )
        choices = Choices(
            ask.execute(settings).fetchall(),
            [tag for (tag,) in ask.execute(tags).fetchall()],
            [reason for (reason,) in ask.execute(reasons).fetchall()],
        )
        self._index.caches.choices = choices
        return choices

    def page(self, shown: RecordFilter, columns: Sequence[RecordColumn]) -> RecordPage:
        """The rows of a page of the filter.

        Raises:
            BadParameterError: the filter names what the run does not have.
        """
        hits, numbers = self._numbers(shown)
        return RecordPage(hits, self._rows(numbers, columns))

    def sorted_numbers(self, shown: RecordFilter) -> Any:
        """The numbers of all rows of the filter, in its order, as an array.

        Raises:
            BadParameterError: the filter names what the run does not have.
        """
        cache = self._index.caches.sorted
        state = (shown.rows_key(), self._marks, self._regressions, self._index.scored)
        numbers = cache.get(state)
        if numbers is None:
            numbers = self._sorted(self._where(shown), self._order(shown), "")
            cache.put(state, numbers)
        return numbers

    def batches(
        self, shown: RecordFilter, columns: Sequence[RecordColumn]
    ) -> Generator[pa.RecordBatch]:
        """The columns of all rows of the filter in its order, some at a time.

        Where there are no rows it is one batch without any, so that columns have their types. The
        first step decides what is found; no lock is needed for the others.
        """
        import pyarrow

        record_batch: Any = pyarrow.RecordBatch
        where = self._where(shown)
        order = self._order(shown)
        aliases = _aliases(columns) | _used(where.sql) | _used(order)
        names = ", ".join(f"{c.sql} AS {quote_name(c.name)}" for c in columns)
        source = self._source(aliases)
        query = f"SELECT {names} FROM {source.sql} WHERE {where.sql} ORDER BY {order}"
        with contextlib.closing(self._index.cursor()) as cursor:
            cursor.begin()
            relation = cursor.sql(query, params=[*source.values, *where.values])
            reader = relation.to_arrow_reader(_BATCH_ROWS)
            nothing = record_batch.from_pylist([], schema=reader.schema)
            yield next(reader, nothing)
            yield from reader

    def _numbers(self, shown: RecordFilter) -> tuple[int, list[int]]:
        """How many rows the filter finds, and the numbers of those on its page."""
        caches, key = self._index.caches, shown.rows_key()
        where, order = self._where(shown), self._order(shown)
        start = (shown.page - 1) * PAGE_ROWS
        state = (key, self._marks, self._regressions, self._index.scored)
        hits = caches.counts.get(state)
        if hits is None:
            hits = self._count(where)
            caches.counts.put(state, hits)
        if start >= hits:
            return hits, []
        numbers = caches.sorted.get(state)
        if numbers is None and start < _NEAR_ROWS:
            return hits, self._sorted(where, order, f"LIMIT {PAGE_ROWS} OFFSET {start}").tolist()
        if numbers is None:
            numbers = self._sorted(where, order, "")
            caches.sorted.put(state, numbers)
        return hits, numbers[start : start + PAGE_ROWS].tolist()

    def _count(self, where: SqlPart) -> int:
        source = self._source(_used(where.sql))
        query = f"SELECT count(*) FROM {source.sql} WHERE {where.sql}"
        counted = self._index.cursor().execute(query, [*source.values, *where.values]).fetchone()
        assert counted is not None
        return int(counted[0])

    def _sorted(self, where: SqlPart, order: str, limit: str) -> Any:
        source = self._source(_used(where.sql) | _used(order))
        query = f"SELECT r.row FROM {source.sql} WHERE {where.sql} ORDER BY {order} {limit}"
        result = self._index.cursor().execute(query, [*source.values, *where.values])
        return result.fetchnumpy()["row"]

    def _rows(self, numbers: list[int], columns: Sequence[RecordColumn]) -> list[dict[str, Any]]:
        """The values of a few rows, in their order; wide ones are read from their files alone."""
        if not numbers:
            return []
        aliases = _aliases(columns)
        source = self._source(aliases, numbers)
        names = ", ".join(f"{c.sql} AS {quote_name(c.name)}" for c in columns)
        own = "r.row AS row, r.trial_id AS trial_id, r.prompt_id AS prompt_id, r.status AS status"
        query = f"SELECT {own}, {names} FROM {source.sql} WHERE r.row IN (SELECT unnest(?))"
        relation = self._index.cursor().sql(query, params=[*source.values, numbers])
        table = relation.to_arrow_table()
        place = {number: at for at, number in enumerate(numbers)}
        taken = [table.column(at).to_pylist() for at in range(table.num_columns)]
        names_of = ["row", "trial_id", "prompt_id", "status", *(c.name for c in columns)]
        rows = [dict(zip(names_of, values, strict=True)) for values in zip(*taken, strict=True)]
        return sorted(rows, key=lambda row: place[row["row"]])

    def _source(self, aliases: set[str], numbers: Sequence[int] | None = None) -> SqlPart:
        """The tables that a query reads; ``numbers`` are the only rows it is about."""
        index = self._index
        sql, values = f"{index.table('records')} r", list[Any]()
        for alias, join in _JOINS.items():
            if alias in aliases:
                tables = {"prompts": index.table("prompts"), "settings": index.table("settings")}
                sql += " " + join.format(**tables)
                values += self._marks.columns() if alias == "m" else []
        if "w" in aliases:
            wide = index.wide_rows(index.parts, WIDE, numbers)
            sql += f" LEFT JOIN ({wide.sql}) w ON w.row = r.row"
            values += wide.values
        return SqlPart(sql, values)

    def _order(self, shown: RecordFilter) -> str:
        ties = "r.prompt_no, r.setting_no, r.repeat, r.row"
        if not shown.sort:
            return ties if not shown.reverse else "r.prompt_no DESC, r.setting_no, r.repeat, r.row"
        column = find_column("sort", shown.sort, self._index.columns.all(shown.scorer))
        sql = "r.setting_no" if column.name == "setting" else column.sql
        return f"{sql} {'DESC' if shown.reverse else 'ASC'} NULLS LAST, {ties}"

    def _where(self, shown: RecordFilter) -> SqlPart:
        """The condition of a filter.

        Raises:
            BadParameterError: it names what the run does not have.
        """
        index = self._index
        check_choices(shown, self.choices())
        if shown.prompt:
            self._check_prompt(shown.prompt)
        where = conditions(shown, index.columns, index.table("prompts"), self._regressions)
        if any(shown.words()):
            hits = self._hits(shown)
            return SqlPart(f"{where.sql} AND r.row IN (SELECT row FROM {hits})", where.values)
        return where

    def _check_prompt(self, prompt_id: str) -> None:
        cursor = self._index.cursor()
        for table in ("prompts", "records"):
            query = f"SELECT 1 FROM {self._index.table(table)} WHERE prompt_id = ? LIMIT 1"
            if cursor.execute(query, [prompt_id]).fetchone() is not None:
                return
        raise BadParameterError("prompt", prompt_id, "the run has no such prompt")

    def _hits(self, shown: RecordFilter) -> str:
        """The table with the rows in which the words are; it is made once for all its pages."""
        searches, (wanted, unwanted) = self._index.caches.searches, shown.words()
        table = searches.get((wanted, unwanted))
        if table is not None:
            return table
        cursor, table = self._index.cursor(), self._index.new_table("hits")
        words = [*wanted, *unwanted]
        in_prompts = ", ".join(f"{_contains(_PROMPT_TEXTS)} AS f{at}" for at in range(len(words)))
        in_outputs = _contains(_OUTPUTS)
        matches = [f"(coalesce(p.f{at}, false) OR {in_outputs})" for at in range(len(words))]
        matches[len(wanted) :] = [f"NOT {condition}" for condition in matches[len(wanted) :]]
        names = ("prompt_id", "text", "refusal", "tool_calls_json")
        wide = self._index.wide_rows(self._index.parts, names)
        cursor.execute(
            f"""
            CREATE OR REPLACE TABLE {table} AS SELECT w.row AS row FROM ({wide.sql}) w
            LEFT JOIN (SELECT prompt_id, {in_prompts}
                       FROM {self._index.table("prompts")}) p
            ON p.prompt_id = w.prompt_id WHERE {" AND ".join(matches)}
            """,
            [
                *wide.values,
                *(word for word in words for _ in _PROMPT_TEXTS),
                *(word for word in words for _ in _OUTPUTS),
            ],
        )
        outdated = searches.put((wanted, unwanted), table)
        if outdated is not None:
            cursor.execute(f"DROP TABLE IF EXISTS {outdated}")
        return table


def quote_name(name: str) -> str:
    """A name of a column in SQL."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _contains(columns: Sequence[str]) -> str:
    """Whether a word is in one of some columns; it is bound once for each."""
    each = [f"coalesce(contains(lower({column}), lower(?)), false)" for column in columns]
    return f"({' OR '.join(each)})"


def _used(sql: str) -> set[str]:
    """The tables that a piece of SQL names."""
    return set(_ALIAS.findall(sql))


def _aliases(columns: Sequence[RecordColumn]) -> set[str]:
    return {column.source for column in columns}
