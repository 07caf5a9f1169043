"""A row with ``turns``: a conversation, each of whose turns becomes a prompt of its own.

The messages of a turn's prompt are what the user says up to it. The answers between them are not
in the dataset: they are those that come while the conversation is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, cast

import msgspec
from msgspec import structs

from evalharness.datasets.content_files import ContentFiles
from evalharness.datasets.strict_json import parse_strict_json
from evalharness.errors import DatasetError
from evalharness.records import Prompt

# Those of a message, and those that judge and group the answer to it.
_TURN_KEYS = ("role", "content", "name", "target", "tags", "scoring")
_EXAMPLE = 'write ["…", "…"], or [{"content": "…"}, {"content": "…"}]'


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn of the user, and what judges the answer to it.

    Attributes:
        message: as it is sent.
        target: the expected answer; None without one.
        tags, scoring: its own ones, as a row writes them; None without.
    """

    message: dict[str, Any]
    target: Any = None
    tags: Any = None
    scoring: Any = None


def read_turns(columns: dict[str, Any], location: str, files: ContentFiles) -> list[Turn] | None:
    """The turns of a row; None where it is no conversation.

    Raises:
        DatasetError: they are no list of two or more messages of the user, or stand beside
            ``prompt`` or ``messages``.
    """
    turns = columns.get("turns")
    if turns is None:
        return None
    for other in ("prompt", "messages"):
        if columns.get(other) is not None:
            raise DatasetError(
                f"{location}: the row has both turns and {other}",
                hint="keep one of them; what the system says first is dataset.system",
            )
    if isinstance(turns, str):
        turns = parse_strict_json(turns, f"{location}: turns")
    if not isinstance(turns, list):
        raise DatasetError(
            f"{location}: turns must be a list of what the user says, got {turns!r:.60}",
            hint=_EXAMPLE,
        )
    elements = cast("list[Any]", turns)
    if not elements:
        raise DatasetError(f"{location}: turns is empty", hint=f"{_EXAMPLE}, or drop the row")
    read = [_turn(item, f"{location}: turn {k}", files) for k, item in enumerate(elements, 1)]
    if len(read) == 1:
        raise DatasetError(
            f"{location}: turns has one turn, and a conversation has two or more",
            hint="write the text under prompt",
        )
    return read


def _turn(item: Any, location: str, files: ContentFiles) -> Turn:
    given: dict[str, Any] = {"content": item}
    if isinstance(item, dict):
        given = cast("dict[str, Any]", item)
        _check_keys(given, location)
    content: Any = given.get("content")
    if not isinstance(content, str | list):
        raise DatasetError(
            f"{location} must be a text, or an object with content, got {item!r:.60}",
            hint="put a number in quotes",
        )
    if not content or (isinstance(content, str) and not content.strip()):
        raise DatasetError(f"{location} is empty", hint="write a text, or take the turn out")
    message: dict[str, Any] = {"role": "user", "content": content}
    if given.get("name") is not None:
        message["name"] = given["name"]
    return Turn(
        message=files.embed(message, location),
        target=given.get("target"),
        tags=given.get("tags"),
        scoring=given.get("scoring"),
    )


def _check_keys(item: dict[str, Any], location: str) -> None:
    role = item.get("role", "user")
    if role != "user":
        hint = "leave it out: the answers are those that the model gives"
        if role in ("system", "developer"):
            hint = "what the system says first is dataset.system"
        raise DatasetError(
            f"{location} has the role {role!r}, and turns hold what the user says", hint=hint
        )
    unknown = next((key for key in item if key not in _TURN_KEYS), None)
    if unknown is not None:
        raise DatasetError(
            f"{location} has an unknown key {unknown!r}",
            hint=f"a turn may have {', '.join(_TURN_KEYS)}; other columns stand in the row",
        )


def expand_turns(
    row: Prompt, turns: Sequence[tuple[Turn, list[str], list[Any]]], conversation: str
) -> list[Prompt]:
    """The prompts of a conversation's turns, ``ID.1`` the first.

    The row's target and scoring are those of the last turn, where that has none of its own. Its
    tags and params are those of every turn, and the conversation is the cluster where the row names
    none: its turns depend on each other.

    Args:
        row: the row, without messages.
        turns: each with its tags and scoring.
        conversation: the id of the conversation.
    """
    messages: list[dict[str, Any]] = []
    prompts: list[Prompt] = []
    for number, (turn, tags, scoring) in enumerate(turns, 1):
        messages = [*messages, turn.message]
        last = number == len(turns)
        prompts.append(
            structs.replace(
                row,
                prompt_id=f"{conversation}.{number}",
                messages=messages,
                target=row.target if last and turn.target is None else turn.target,
                tags=[*row.tags, *(tag for tag in tags if tag not in row.tags)],
                cluster=row.cluster or conversation,
                scoring=row.scoring if last and not scoring else scoring,
                conversation=conversation,
                turn=number,
            )
        )
    return prompts


def group_rows(prompts: Iterable[Prompt]) -> list[list[Prompt]]:
    """The prompts by dataset row: those of a conversation together, any other alone."""
    return [
        list(group)
        for _, group in groupby(
            prompts, key=lambda p: (p.conversation is None, p.conversation or p.prompt_id)
        )
    ]
