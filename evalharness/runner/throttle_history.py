"""What the throttle did, for the manifest: concurrency limits by time, with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from evalharness.config.models import LimitsConfig
from evalharness.throttle.concurrency import LimitRecord

# A run that was continued very often keeps its newest sessions.
SESSIONS = 50


class ConcurrencyHistory(Protocol):
    """The concurrency limits an endpoint had; its limiter has them."""

    @property
    def history(self) -> list[LimitRecord]:
        """Oldest first."""
        ...

    @property
    def history_omitted(self) -> int:
        """How many are not in it."""
        ...


def append_history(
    earlier: list[dict[str, Any]], limiters: Mapping[str, ConcurrencyHistory], limits: LimitsConfig
) -> list[dict[str, Any]]:
    """``throttle`` of the manifest: what earlier sessions noted, and this one's endpoints.

    An entry holds ``endpoint``, ``adaptive``, ``rpm``, ``tpm`` (null: no limit), ``changes`` (each
    ``at``, ISO 8601 in UTC, ``limit``, requests in flight from then on, and ``reason``) and
    ``omitted``, how many changes in the middle of a long list were left out.
    """
    entries = [
        {
            "endpoint": name,
            "adaptive": limits.adaptive,
            "rpm": limits.rpm,
            "tpm": limits.tpm,
            "changes": [
                {"at": _iso(change.at_ns), "limit": change.limit, "reason": change.reason}
                for change in limiter.history
            ],
            "omitted": limiter.history_omitted,
        }
        for name, limiter in limiters.items()
    ]
    return [*earlier, *entries][-SESSIONS * max(1, len(entries)) :]


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds")
