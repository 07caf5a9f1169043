"""The small facts of a record, as texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from evalharness.report.words.format_numbers import seconds
from evalharness.report.words.sanitize import one_line

_UNKNOWN = ("", None)
_IN_DOUBT = "an attempt may have been billed without an answer"
_SANITIZED = "characters that are no UTF-8 were replaced"


def record_facts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what is known of a record; what is unknown is left out."""
    facts: list[tuple[str, Any]] = [
        ("status", row["status"]),
        ("finish reason", row["finish_reason"]),
        ("error", _error(row)),
        ("model", row["model"]),
        ("answered by", None if row["response_model"] == row["model"] else row["response_model"]),
        ("provider", row["provider"]),
        ("server", row.get("replica")),
        ("fingerprint", row["system_fingerprint"]),
        ("sent (UTC)", _instant(row["sent_at"])),
        ("latency", _seconds(row["latency_s"])),
        ("first token", _seconds(row["ttft_s"])),
        ("first token of the output", _seconds(row["ttfo_s"])),
        ("queued", _seconds(row["queue_s"])),
        ("tokens", _tokens(row)),
        ("HTTP status", row["http_status"]),
        ("response", row["response_id"]),
        ("in doubt", _IN_DOUBT if row["in_doubt"] else None),
        ("text", _SANITIZED if row["text_sanitized"] else None),
    ]  # fmt: skip
    return [(name, one_line(str(value), 300)) for name, value in facts if value not in _UNKNOWN]


def _error(row: Mapping[str, Any]) -> str | None:
    parts = [row["error_kind"], row["error_code"], row["error_message"]]
    return ": ".join(part for part in parts if part) or None


def _seconds(value: float | None) -> str | None:
    return None if value is None else seconds(value)


def _instant(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{nanoseconds % 10**9 // 10**6:03d}"


def _tokens(row: Mapping[str, Any]) -> str | None:
    kinds = [("prompt", "prompt"), ("cached", "of them cached"), ("completion", "completion"),
             ("reasoning", "of them reasoning")]  # fmt: skip
    known = [(words, row[f"{kind}_tokens"]) for kind, words in kinds]
    return ", ".join(f"{count:,} {words}" for words, count in known if count is not None) or None
