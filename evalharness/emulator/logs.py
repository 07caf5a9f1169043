"""``GET /v2/logs``: the AI/ML API's list of requests, with its filters and pages."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from evalharness.emulator.ledger import LedgerEntry, iso_timestamp

MAX_PERIOD = timedelta(days=92)
DEFAULT_LIMIT, MAX_LIMIT = 50, 500
_NS = 1_000_000_000
_NAMED_PERIODS = {"hour": "1h", "day": "24h", "week": "7d", "month": "30d", "quarter": "90d"}
_PERIOD = re.compile(r"^(\d{1,6})(m|h|d|w)$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class BadQuery(ValueError):  # noqa: N818 - becomes a 400, in the API's words
    """A query that cannot be answered; the message names the parameter."""


def log_page(
    entries: Sequence[LedgerEntry], query: Sequence[tuple[str, str]], delay_s: float
) -> dict[str, Any]:
    """One page of the log, newest first.

    ``query`` is the list of parameters as sent: ``period`` (``24h``, ``7d``, ``day``…) or ``start``
    and ``end`` (ISO 8601 or Unix seconds), ``limit``, ``offset``, and any number of ``status`` and
    ``model``. Requests finished less than ``delay_s`` ago are not listed yet.

    Raises:
        BadQuery: a parameter is unknown or cannot be read.
    """
    params: dict[str, list[str]] = {}
    for name, value in query:
        params.setdefault(name, []).append(value)
    unknown = params.keys() - {"period", "start", "end", "limit", "offset", "status", "model"}
    if unknown:
        raise BadQuery(f"{min(unknown)}: Unrecognized key")
    start_ns, end_ns = _time_range(params)
    limit = _integer(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    offset = _integer(params, "offset", 0, 0, 10**9)
    statuses = set(params.get("status", ()))
    if statuses - {"succeeded", "failed"}:
        raise BadQuery("status: Expected 'succeeded' | 'failed'")
    models = set(params.get("model", ()))
    visible_ns = time.time_ns() - int(delay_s * _NS)
    rows = [
        entry
        for entry in reversed(entries)
        if entry.finished
        and start_ns <= entry.received_at_ns <= min(end_ns, visible_ns)
        and (not statuses or _status(entry) in statuses)
        and (not models or models & {entry.model, _model_with_maker(entry.model)})
    ]
    shown = rows[offset : offset + limit]
    return {
        "data": [_row(entry) for entry in shown],
        "pagination": {
            "limit": limit,
            "offset": offset,
            "total": len(rows),
            "has_more": offset + len(shown) < len(rows),
        },
    }


def _row(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "created": iso_timestamp(entry.received_at_ns),
        "status": _status(entry),
        "model": _model_with_maker(entry.model),
        "cost": {"usd": f"{entry.billed_usd:.9f}", "credits": entry.billed_credits},
        "tokens": {
            "input": entry.prompt_tokens,
            "output": entry.completion_tokens,
            "total": entry.prompt_tokens + entry.completion_tokens,
        },
        "request_id": f"req-{entry.arrival:012d}",
        "inference_id": entry.inference_id,
        "client_request_id": entry.client_request_id,
    }


def _status(entry: LedgerEntry) -> str:
    return "succeeded" if entry.billed else "failed"


def _model_with_maker(model: str | None) -> str | None:
    """``maker/model``: the maker is added where the request left it out."""
    if model is None or "/" in model:
        return model
    return f"{'alibaba' if model.startswith('qwen') else 'emulator'}/{model}"


def _time_range(params: dict[str, list[str]]) -> tuple[int, int]:
    """First and last nanosecond of the query; by default the last 24 hours."""
    now = datetime.now(UTC)
    if "start" in params or "end" in params:
        if "period" in params or not ("start" in params and "end" in params):
            raise BadQuery("period: Give either period, or both start and end")
        start, end = _instant("start", params["start"][-1]), _instant("end", params["end"][-1])
    else:
        period = params.get("period", ["24h"])[-1]
        match = _PERIOD.match(_NAMED_PERIODS.get(period, period))
        if match is None:
            raise BadQuery("period: Expected a period such as 24h or 7d")
        start, end = (
            now - timedelta(**{_UNITS[match[2]]: int(match[1])}),
            now + timedelta(seconds=1),
        )
        if end - start > MAX_PERIOD + timedelta(seconds=1):
            raise BadQuery("period: The period may be at most 92 days")
    if start > end:
        raise BadQuery("start: Expected a moment before end")
    if end - start > MAX_PERIOD + timedelta(seconds=1):
        raise BadQuery("start: The period may be at most 92 days")
    return _nanoseconds(start), _nanoseconds(end)


def _instant(name: str, text: str) -> datetime:
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        iso_timestamp = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise BadQuery(f"{name}: Invalid datetime") from None
    return iso_timestamp if iso_timestamp.tzinfo is not None else iso_timestamp.replace(tzinfo=UTC)


def _nanoseconds(iso_timestamp: datetime) -> int:
    since = iso_timestamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _NS + since.microseconds * 1000


def _integer(params: dict[str, list[str]], name: str, default: int, low: int, high: int) -> int:
    text = params.get(name, [str(default)])[-1]
    if not re.fullmatch(r"\d{1,12}", text) or not low <= int(text) <= high:
        raise BadQuery(f"{name}: Expected an integer between {low} and {high}")
    return int(text)
