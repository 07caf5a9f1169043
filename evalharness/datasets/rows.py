"""Dataset files as rows: plain dicts, each with its location.

Each reader goes through the whole file, row by row, and refuses what it cannot read exactly; what
a row means is decided in :mod:`.prompts`. A *location* is what a person needs to find the row:
``file:line`` for text files, ``file:row N`` where there are no lines.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast

from evalharness.config import strict_yaml
from evalharness.datasets.arrow_maps import has_map, map_objects
from evalharness.datasets.strict_json import (
    check_json_value,
    first_repeated,
    json_type_name,
    parse_json_line,
)
from evalharness.errors import DatasetError
from evalharness.process.text import closest, did_you_mean

MAX_CELL = 1 << 27  # characters of one CSV cell

SUFFIXES = (".jsonl", ".csv", ".parquet", ".yaml", ".yml")


class Row(NamedTuple):
    """One row: its location, and its columns."""

    location: str
    columns: dict[str, Any]


def read_rows(path: Path, name: str) -> Iterator[Row]:
    """The rows of a dataset file.

    Args:
        path: the file.
        name: how messages call it.

    Raises:
        DatasetError: an unknown suffix, or anything malformed, with its location.
    """
    readers: dict[str, Callable[[Path, str], Iterator[Row]]] = {
        ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".yaml": _yaml, ".yml": _yaml,
    }  # fmt: skip
    suffix = path.suffix.lower()
    if suffix not in readers:
        hint = f"use one of {', '.join(SUFFIXES)}, or hf:<name> for Hugging Face datasets"
        if suffix == ".json":
            hint = "write one object a line and call it .jsonl"
        raise DatasetError(
            f"{name}: cannot tell the format from {suffix or 'no suffix'}", hint=hint
        )
    try:
        yield from readers[suffix](path, name)
    except OSError as error:
        siblings = [p.name for p in path.parent.glob("*") if p.suffix.lower() in SUFFIXES]
        close = closest(path.name, siblings)
        hint = did_you_mean(str(path.parent / close)) if close else "give the path of a file"
        raise DatasetError(f"cannot read {name}: {error.strerror or error}", hint=hint) from None


def _read_utf8(path: Path, name: str) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        was = "UTF-16" if wide else "WINDOWS-1252"
        raise DatasetError(
            f"{name}:{line}: not valid UTF-8 (byte 0x{data[error.start]:02x})",
            hint=f"convert it: iconv -f {was} -t UTF-8 {name} > fixed{path.suffix}",
        ) from None


# --- JSONL -----------------------------------------------------------------------------------


def _jsonl(path: Path, name: str) -> Iterator[Row]:
    _read_utf8(path, name)  # a bad byte is reported with its line, before any row is given
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        yield from _objects(file, name)


def _objects(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\n")
        if not line or line.isspace():
            continue
        location = f"{name}:{number}"
        value = parse_json_line(line, location)
        if not isinstance(value, dict):
            raise DatasetError(
                f"{location}: a row must be an object, got {json_type_name(value)}",
                hint='write one object a line, such as {"id": "q1", "prompt": "…"}',
            )
        yield Row(location, value)  # pyright: ignore[reportUnknownArgumentType]


# --- CSV -------------------------------------------------------------------------------------


def _csv(path: Path, name: str) -> Iterator[Row]:
    _read_utf8(path, name)  # a bad byte is reported with its line, before any row is given
    limit = csv.field_size_limit(
        MAX_CELL
    )  # global: restored when the rows end or the iterator is dropped
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _csv_rows(file, name)
    finally:
        csv.field_size_limit(limit)


def _csv_rows(file: TextIO, name: str) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            location, start = f"{name}:{start}", reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _header(cells, location)
            elif len(cells) != len(header):
                raise DatasetError(
                    f"{location}: {len(cells)} cells, but the header names {len(header)} columns",
                    hint="put cells that hold commas or line breaks in double quotes",
                )
            else:
                yield Row(location, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DatasetError(
                f"{name}:{start}: malformed CSV: a quote in the row that begins here is not closed",
                hint='write a quote inside a quoted cell twice: ""',
            ) from None
        raise DatasetError(f"{name}:{reader.line_num}: malformed CSV: {error}") from None


def _header(cells: list[str], location: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            raise DatasetError(
                f"{location}: its columns stand between {called}, and commas are expected",
                hint="save it with commas, or as JSONL",
            )
    if "" in names:
        raise DatasetError(f"{location}: column {names.index('') + 1} has no name")
    repeated = first_repeated(names)
    if repeated is not None:
        raise DatasetError(f"{location}: column {repeated!r} appears twice")
    return names


# --- YAML, Parquet ---------------------------------------------------------------------------


def _yaml(path: Path, name: str) -> Iterator[Row]:
    try:
        items = strict_yaml.parse_yaml_items(_read_utf8(path, name))
    except strict_yaml.YamlError as error:
        line = "" if error.line is None else f":{error.line}"
        column = "" if error.column is None else f" (column {error.column})"
        raise DatasetError(f"{name}{line}: {error.message}{column}") from None
    for item in items:
        location = f"{name}:{item.line}"
        value: Any = item.value
        if not isinstance(value, dict):
            raise DatasetError(
                f"{location}: a row must be a mapping, got {json_type_name(value)}",
                hint="write rows as '- id: q1' with 'prompt: …' below it",
            )
        yield Row(location, value)  # pyright: ignore[reportUnknownArgumentType]


def _parquet(path: Path, name: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)  # pyright: ignore[reportUnknownMemberType]
    except (pa.ArrowException, ValueError) as error:
        raise DatasetError(f"{name}: not a readable Parquet file: {error}") from None
    repeated = first_repeated(table.column_names)
    if repeated is not None:
        raise DatasetError(f"{name}: column {repeated!r} appears twice")
    fields: list[Any] = list(table.schema)
    maps: dict[str, Any] = {field.name: field.type for field in fields if has_map(field.type)}
    rows = (row for batch in table.to_batches(max_chunksize=1_000) for row in batch.to_pylist())
    for number, columns in enumerate(rows, 1):
        location = f"{name}:row {number}"
        for column, kind in maps.items():
            columns[column] = map_objects(columns[column], kind, f"{location}: {column}")
        yield arrow_row(location, columns)


def arrow_row(location: str, columns: dict[str, Any]) -> Row:
    """A row of Arrow data as JSON data; dates and decimals become their usual text."""
    value: dict[str, Any] = {key: _from_arrow(item) for key, item in columns.items()}
    check_json_value(value, location)
    messages = value.get("messages")
    if isinstance(messages, list):
        # Arrow gives every struct of a list the same keys. A null key was absent, save `content`,
        # which an assistant message with tool calls has as null.
        value["messages"] = [_without_nulls(message) for message in cast("list[Any]", messages)]
    turns = value.get("turns")
    if isinstance(turns, list):
        value["turns"] = [_without_nulls(turn) for turn in cast("list[Any]", turns)]
    scoring = value.get("scoring")
    if isinstance(scoring, list):
        value["scoring"] = [_part_without_nulls(entry) for entry in cast("list[Any]", scoring)]
    return Row(location, value)


def _from_arrow(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: _from_arrow(item) for key, item in items.items()}
    if isinstance(value, list):
        elements = cast("list[Any]", value)
        return [_from_arrow(element) for element in elements]
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    return str(value)


def _without_nulls(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    items = cast("dict[str, Any]", message)
    fields = {key: item for key, item in items.items() if item is not None or key == "content"}
    content = fields.get("content")
    if isinstance(content, list):
        fields["content"] = [_part_without_nulls(part) for part in cast("list[Any]", content)]
    return fields


def _part_without_nulls(value: Any) -> Any:
    """A content part without null keys, also in what its type holds."""
    if not isinstance(value, dict):
        return value
    items = cast("dict[str, Any]", value)
    return {key: _part_without_nulls(item) for key, item in items.items() if item is not None}
