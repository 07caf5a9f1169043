"""What a server runs on, for figures per GPU and per dollar."""

from __future__ import annotations

import msgspec

from evalharness.config.number_types import Count, Positive


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a server runs on; nothing of it is sent, and no setting depends on it.

    Attributes:
        gpus: how many GPUs it has; None unknown.
        usd_per_hour: what all of it costs, in US dollars an hour; None unknown.
        labels: how it is set up, such as ``{tensor_parallel: 4}``; shown in tables.
    """

    gpus: Count | None = None
    usd_per_hour: Positive | None = None
    labels: dict[str, str | int | float | bool] = {}
