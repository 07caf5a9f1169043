"""``dataset.columns``: a file's own names for the columns that have a meaning."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from evalharness.datasets.prompts import COLUMNS, object_column
from evalharness.datasets.rows import Row
from evalharness.errors import DatasetError
from evalharness.process.text import closest, did_you_mean, first_names

#: What templates do not see: it judges or groups, and must not reach the model.
JUDGING = ("target", "tags", "cluster", "scoring")

# Only one of these can be there: where one is mapped, the file's own others are fields.
_ALTERNATIVES = (("id", "prompt_id"), ("prompt", "messages", "turns"))


def map_columns(
    rows: Iterable[Row], columns: Mapping[str, str], *, template_names: set[str]
) -> list[Row]:
    """The rows with their columns named by meaning, as ``dataset.columns`` says.

    A column that is mapped is no field any more, unless a template names it. A column of the file
    that is called as a meaning which another column has now is a field.

    Args:
        rows: of the file.
        columns: name of the file's column, by meaning.
        template_names: the names that templates take from outside.

    Raises:
        DatasetError: an unknown meaning, a column that no row has, or a template that names a
            column which only judges.
    """
    for meaning in columns:
        if meaning not in COLUMNS:
            close = closest(meaning, COLUMNS)
            raise DatasetError(
                f"dataset.columns: `{meaning}` is no meaning of a column",
                hint=did_you_mean(close) if close else f"there are {', '.join(COLUMNS)}",
            )
    rows = list(rows)
    _check_there(rows, columns)
    for meaning, column in columns.items():
        if meaning in JUDGING and column != meaning and column in template_names:
            raise DatasetError(
                f"dataset.template uses `{column}`, which dataset.columns reads as {meaning}",
                hint="it is for judging and must not reach the model",
            )
    given_away = {*columns}
    for names in _ALTERNATIVES:
        if not given_away.isdisjoint(names):
            given_away.update(names)
    named_fields = (template_names - set(COLUMNS)) & set(columns.values())
    return [Row(row.location, _mapped(row, columns, given_away, named_fields)) for row in rows]


def _mapped(
    row: Row,
    columns: Mapping[str, str],
    given_away: Container[str],
    named_fields: Container[str],
) -> dict[str, Any]:
    taken = set(columns.values())
    result = {
        name: value
        for name, value in row.columns.items()
        if name in named_fields or (name not in taken and name not in given_away)
    }
    result |= {
        meaning: row.columns[column] for meaning, column in columns.items() if column in row.columns
    }
    # Under `fields` a name does not collide with a meaning.
    fields = {
        name: value
        for name, value in row.columns.items()
        if name in given_away and name not in taken
    }
    if fields:
        own = object_column(result.get("fields"), "fields", row.location)
        result["fields"] = {**fields, **own}
    return result


def _check_there(rows: list[Row], columns: Mapping[str, str]) -> None:
    present = {name for row in rows for name in row.columns}
    for meaning, column in columns.items():
        if rows and column not in present:
            close = closest(column, present)
            raise DatasetError(
                f"dataset.columns: no row has a column `{column}` (for {meaning})",
                hint=did_you_mean(close) if close else f"the rows have: {first_names(present)}",
            )
