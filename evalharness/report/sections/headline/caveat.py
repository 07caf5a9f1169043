"""The class of a caveat."""

from __future__ import annotations

import msgspec


class Caveat(msgspec.Struct, frozen=True):
    """One thing to know before relying on a report.

    ``serious`` ones can overturn a conclusion; others limit it.
    """

    text: str
    serious: bool
