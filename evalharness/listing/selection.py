"""Which runs are listed, and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from evalharness.errors import ConfigError
from evalharness.listing.run_row import DAMAGED, ListedRun

_AGO = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
SORT_KEYS: dict[str, Callable[[ListedRun], Any]] = {
    "date": lambda row: _instant(row.created_at),
    "name": lambda row: row.name,
    "status": lambda row: row.status,
    "records": lambda row: row.records,
    "score": lambda row: None if row.score is None else row.score.max,
    "agreement": lambda row: None if row.agreement is None else row.agreement.max,
    "cost": lambda row: row.cost_usd,
}
_ASCENDING = ("name", "status")


def parse_since(text: str, now: datetime) -> datetime:
    """The instant that is meant by ``7d``, ``12h``, ``2w``, ``2026-11-30`` or ``…T08:00``.

    Without a zone it is UTC, as the dates that are listed.

    Raises:
        ConfigError: it is none of these.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"--since {text}: this is no date",
            hint="--since 2026-11-30, --since 2026-11-30T08:00, or --since 7d (h, d, w)",
        ) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def select_rows(
    rows: Sequence[ListedRun],
    *,
    models: Sequence[str] = (),
    since: datetime | None = None,
    tags: Sequence[str] = (),
) -> list[ListedRun]:
    """The rows of one of the models, with all of the tags, begun at ``since`` or later.

    A damaged run whose models or date nobody knows is not left out for them.

    Args:
        rows: of the list.
        models: parts of names, or patterns (``qwen*``), upper or lower case; empty for all.
        since: None for all.
        tags: empty for all.
    """
    return [
        row
        for row in rows
        if set(tags) <= set(row.tags)
        and (row.status == DAMAGED or (has_model(row, models) and _is_since(row, since)))
    ]


def sort_rows(rows: Sequence[ListedRun], key: str, *, reverse: bool = False) -> list[ListedRun]:
    """Newest and highest first, names and statuses from A to Z; unknown values come last."""
    value = SORT_KEYS[key]
    known = sorted((r for r in rows if value(r) is not None), key=lambda row: row.name)
    known.sort(key=value, reverse=(key not in _ASCENDING) != reverse)
    return known + [row for row in rows if value(row) is None]


def has_model(row: ListedRun, models: Sequence[str]) -> bool:
    """Whether one of the models of a run is one of these; every run where there are none."""
    names = [model.casefold() for model in row.models]
    wanted = [model.casefold() for model in models]
    return not wanted or any(w in name or fnmatchcase(name, w) for w in wanted for name in names)


def _is_since(row: ListedRun, since: datetime | None) -> bool:
    if since is None:
        return True
    instant = _instant(row.created_at)
    return instant is not None and instant >= since


def _instant(text: str | None) -> datetime | None:
    """An instant of a manifest; None where it is missing or no date."""
    try:
        instant = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant is None or instant.tzinfo is not None else instant.replace(tzinfo=UTC)
