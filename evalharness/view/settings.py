"""What `evalharness view` was started with."""

from __future__ import annotations

import msgspec

LOOPBACK = "127.0.0.1"


class ViewSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages show, who may see them, and what may be changed.

    Attributes:
        places: paths and URLs of results roots, and runs; empty is ``results/``.
        host: the address that is listened on.
        port: the port that is listened on; it is part of the name of the cookie.
        token: what the link must carry; None where only this machine can connect.
        marks: whether records may be marked.
        control: whether running runs may be paused and changed.
    """

    places: list[str] = []
    host: str = LOOPBACK
    port: int = 0
    token: str | None = None
    marks: bool = False
    control: bool = False

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be changed at all."""
        return not (self.marks or self.control)
