"""Record statuses as small integers."""

from __future__ import annotations

from evalharness.records import Status

STATUSES: tuple[str, ...] = tuple(status.value for status in Status)

OK = STATUSES.index(Status.OK)
TRUNCATED = STATUSES.index(Status.TRUNCATED)
REFUSED = STATUSES.index(Status.REFUSED)
EMPTY = STATUSES.index(Status.EMPTY)
ERROR = STATUSES.index(Status.ERROR)
