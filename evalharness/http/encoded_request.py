"""A request of the harness's own connections, ready to be written."""

from __future__ import annotations

from typing import NamedTuple


class EncodedRequest(NamedTuple):
    """A request as it is sent.

    Attributes:
        data: head and body.
        total_at: loop time of the total time limit, in seconds.
        closes: the connection is not used again, whatever the server says.
    """

    data: bytes
    total_at: float
    closes: bool
