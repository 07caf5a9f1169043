"""Which metrics of servers are read beside a run."""

from __future__ import annotations

import msgspec

from evalharness.config.number_types import Positive


class ServerMetricsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prometheus endpoints that are read while a run goes on.

    Attributes:
        urls: by a name of one's own, ``{server: http://host:8000/metrics}``; the address of the
            provider is taken for ``auto``.
        interval_s: seconds between two readings of an endpoint.
        timeout_s: an endpoint that takes longer is a gap.
    """

    urls: dict[str, str]
    interval_s: Positive = 1.0
    timeout_s: Positive = 5.0
