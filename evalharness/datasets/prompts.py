"""Rows of a dataset to prompts, by the meaning of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from msgspec.structs import replace

from evalharness.datasets.content_files import NO_FILES, ContentFiles
from evalharness.datasets.conversations import Turn, expand_turns, read_turns
from evalharness.datasets.rows import Row
from evalharness.datasets.strict_json import parse_strict_json
from evalharness.errors import DatasetError
from evalharness.process.text import first_names
from evalharness.records import Prompt, canonical_json, digest

#: Columns with a meaning. Every other column is a field for templates.
COLUMNS = (
    "id", "prompt_id", "prompt", "messages", "target", "tags", "cluster", "params", "fields",
    "scoring", "turns",
)  # fmt: skip
ID_LENGTH = 12  # hex characters of a content hash: 48 bits


def prompt_digest(prompt: Prompt) -> str:
    """A hash of everything of a prompt that shapes its requests, as 32 hex characters.

    That is messages, fields and params. Target, scoring, tags and cluster only judge and group, so
    that correcting a target does not make a recorded answer obsolete.
    """
    shape: dict[str, Any] = {
        "messages": prompt.messages, "fields": prompt.fields, "params": prompt.params,
    }  # fmt: skip
    if prompt.turn is not None:  # answers come between its messages
        shape["turn"] = prompt.turn
    return digest(canonical_json(shape))


def rows_to_prompts(
    rows: Iterable[Row],
    *,
    template_names: set[str] | None,
    cells: bool,
    files: ContentFiles = NO_FILES,
) -> list[Prompt]:
    """The prompts of the rows, in their order, with unique ids.

    Args:
        rows: what a reader gives.
        template_names: the names a template takes from outside; None when there is no template, so
            that a row without prompt and messages has nothing to send.
        cells: the rows are CSV: everything is text, and an empty cell is an absent value.
        files: where the images, recordings and files are that rows name.

    Raises:
        DatasetError: a row without content or with contradicting columns, or two equal ids.
    """
    prompts: list[Prompt] = []
    locations: dict[str, str] = {}
    repeats: dict[str, int] = {}
    for row in rows:
        prompt, turns = _prompt(row, template_names, cells, files)
        prompt_id = prompt.prompt_id
        if not prompt_id:
            whole = prompt
            if turns is not None:
                whole = replace(prompt, messages=[turn.message for turn in turns])
            content = prompt_digest(whole)[:ID_LENGTH]
            repeats[content] = repeats.get(content, 0) + 1
            prompt_id = content if repeats[content] == 1 else f"{content}-{repeats[content]}"
            prompt = replace(prompt, prompt_id=prompt_id)
        expanded = [prompt] if turns is None else _expand(prompt, turns, row.location)
        for item in expanded:
            _claim_id(item.prompt_id, row.location, locations)
        prompts += expanded
    return prompts


def _claim_id(prompt_id: str, location: str, locations: dict[str, str]) -> None:
    if prompt_id in locations:
        raise DatasetError(
            f"{location}: id {prompt_id!r} is already used at {locations[prompt_id]}",
            hint="give every row its own id, or leave ids out to have them made from the text",
        )
    locations[prompt_id] = location


def _expand(row: Prompt, turns: list[Turn], location: str) -> list[Prompt]:
    """The prompts of a conversation's turns, with their own tags and scoring."""
    places = [f"{location}: turn {number}" for number in range(1, len(turns) + 1)]
    read = [
        (turn, _tags(turn.tags, place), _scoring(turn.scoring, place))
        for turn, place in zip(turns, places, strict=True)
    ]
    return expand_turns(row, read, row.prompt_id)


def _prompt(
    row: Row, template_names: set[str] | None, cells: bool, files: ContentFiles
) -> tuple[Prompt, list[Turn] | None]:
    """The row as one prompt, and its turns where it is a conversation."""
    location, columns = row
    if "turns" in columns and template_names is not None and "turns" in template_names:
        columns = {k: v for k, v in columns.items() if k != "turns"}
        own = object_column(columns.get("fields"), "fields", location)
        columns["fields"] = {"turns": row.columns["turns"], **own}
    if cells:
        columns = {k: v for k, v in columns.items() if v != "" or k not in COLUMNS}
    fields = _fields(columns, location)
    messages = _messages(columns, location)
    turns = read_turns(columns, location, files)
    if turns is not None and template_names is not None:
        raise DatasetError(
            f"{location}: the row has turns, and dataset.template makes one message",
            hint="set dataset.template=null, or name `turns` in the template, which makes it a "
            "field",
        )
    if messages is not None:
        messages = [files.embed(message, location) for message in messages]
    if messages is None and turns is None:
        if cells and template_names is None and row.columns.get("prompt") == "":
            raise DatasetError(
                f"{location}: the prompt cell is empty", hint="fill it or drop the row"
            )
        _check_fields(fields, template_names, location)
    prompt = Prompt(
        prompt_id=_id(columns, location),
        messages=messages,
        target=columns.get("target"),
        tags=_tags(columns.get("tags"), location),
        cluster=_name(columns.get("cluster"), "cluster", location) or None,
        params=object_column(columns.get("params"), "params", location),
        fields=fields,
        source=location,
        scoring=_scoring(columns.get("scoring"), location),
    )
    return prompt, turns


def _id(columns: dict[str, Any], location: str) -> str:
    """The row's own id, or an empty text."""
    own, other = columns.get("id"), columns.get("prompt_id")
    if own is not None and other is not None:
        raise DatasetError(
            f"{location}: the row has both id and prompt_id", hint="keep one of them"
        )
    for key, value in (("id", own), ("prompt_id", other)):
        if value is not None:
            name = _name(value, key, location)
            if not name.strip():
                raise DatasetError(
                    f"{location}: {key} is empty", hint="leave it out or give it a name"
                )
            return name
    return ""


def _name(value: Any, key: str, location: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DatasetError(f"{location}: {key} must be text, got {value!r:.60}")
    return str(value)


def _messages(columns: dict[str, Any], location: str) -> list[dict[str, Any]] | None:
    prompt, messages = columns.get("prompt"), columns.get("messages")
    if prompt is not None and messages is not None:
        raise DatasetError(
            f"{location}: the row has both prompt and messages", hint="keep one of them"
        )
    if prompt is not None:
        if not isinstance(prompt, str):
            raise DatasetError(
                f"{location}: prompt must be text, got {prompt!r:.60}",
                hint="put it in quotes; chat messages go under messages",
            )
        if not prompt.strip():
            raise DatasetError(f"{location}: prompt is empty", hint="write a text, or drop the row")
        return [{"role": "user", "content": prompt}]
    if messages is None:
        return None
    if isinstance(messages, str):
        messages = parse_strict_json(messages, f"{location}: messages")
    if not isinstance(messages, list) or not messages:
        raise DatasetError(
            f"{location}: messages must be a list with at least one message",
            hint='write [{"role": "user", "content": "…"}]',
        )
    checked: list[dict[str, Any]] = []
    elements = cast("list[Any]", messages)
    for number, message in enumerate(elements, 1):
        if not isinstance(message, dict):
            raise DatasetError(
                f"{location}: message {number} must be an object, got {message!r:.60}"
            )
        checked.append(message)  # pyright: ignore[reportUnknownArgumentType]
    return checked


def _fields(columns: dict[str, Any], location: str) -> dict[str, Any]:
    """All columns without a meaning of their own, and what is under ``fields``."""
    fields = object_column(columns.get("fields"), "fields", location)
    for key, value in columns.items():
        if key in COLUMNS:
            continue
        if key in fields:
            raise DatasetError(f"{location}: field {key!r} stands in the row and under fields too")
        fields[key] = value
    return fields


def _check_fields(fields: dict[str, Any], names: set[str] | None, location: str) -> None:
    """Refuse a row without prompt and messages whose fields the template does not use."""
    has = first_names(fields)
    if names is None:
        raise DatasetError(
            f"{location}: the row has neither prompt nor messages (other columns: {has})",
            hint="say which column is the prompt (dataset.columns={prompt: NAME}), or set "
            "dataset.template to text that uses the columns",
        )
    used = names & fields.keys() or ("fields" in names and fields)
    if not used:
        raise DatasetError(
            f"{location}: the row has neither prompt nor messages, and dataset.template uses none "
            f"of its fields (fields: {has}; the template uses: "
            f"{first_names(sorted(names))})",
            hint="name one of the fields in the template, as {{ field }}",
        )


def _tags(value: Any, location: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [tag for part in re.split("[,;]", value) if (tag := part.strip())]
    if isinstance(value, list) and all(isinstance(tag, str) for tag in value):  # pyright: ignore[reportUnknownVariableType]
        return list(value)  # pyright: ignore[reportUnknownArgumentType]
    raise DatasetError(
        f"{location}: tags must be a list of texts, got {value!r:.60}",
        hint='write ["math", "short"]',
    )


def _scoring(value: Any, location: str) -> list[Any]:
    """The row's own checks: a list, one of them, or either as JSON; a word is a scorer's name."""
    if value is None:
        return []
    if isinstance(value, str):
        if not value.lstrip().startswith(("[", "{")):
            return [value.strip()]
        value = parse_strict_json(value, f"{location}: scoring")
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return list(cast("list[Any]", value))
    raise DatasetError(
        f"{location}: scoring must be a list of scorers, got {value!r:.60}",
        hint='write [{"name": "includes", "target": "Rome", "weight": 2}, "json_valid"]',
    )


def object_column(value: Any, key: str, location: str) -> dict[str, Any]:
    """A column that holds an object, or its JSON; empty where it is null.

    Raises:
        DatasetError: it is something else.
    """
    if value is None:
        return {}
    if isinstance(value, str):
        value = parse_strict_json(value, f"{location}: {key}")
    if not isinstance(value, dict):
        raise DatasetError(f"{location}: {key} must be an object, got {value!r:.60}")
    return dict(value)  # pyright: ignore[reportUnknownArgumentType]
