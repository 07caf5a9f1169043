"""The class of a caveat."""

from __future__ import annotations

from typing import Any

import msgspec

Row = dict[str, Any]


class Caveat(msgspec.Struct, frozen=True):
    """One thing to know before relying on a report.

    ``serious`` ones can overturn a conclusion; others limit it.
    """

    text: str
    serious: bool
