"""What the server remembers of each request: the ledger for tests, statistics, ``/v2/logs``."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import msgspec

from evalharness.emulator.batch_context import current_batch_request
from evalharness.errors import ConfigError


class LedgerEntry(msgspec.Struct, kw_only=True, gc=False):
    """One request as it was received, and what became of it.

    ``protocol`` is ``chat``, ``responses`` or ``messages``. ``status`` is the HTTP status sent;
    None until then, and for good when none was sent. ``billed_usd`` is what it cost;
    ``cache_write_tokens`` are those that its own marks put into the cache; ``delivered`` tells
    whether the whole answer was handed to the connection. ``batch_id`` and
    ``batch_custom_id`` name the line of a batch that it is, None for a request of its own.
    """

    arrival: int  # from 1
    received_at_ns: int
    body_sha256: str
    protocol: str = "chat"
    client_request_id: str | None = None
    batch_id: str | None = None
    batch_custom_id: str | None = None
    inference_id: str | None = None
    model: str | None = None
    stream: bool | None = None
    status: int | None = None
    fault: str | None = None
    billed: bool = False
    billed_usd: Decimal = Decimal(0)
    billed_credits: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    delivered: bool = False
    finished: bool = False


class Ledger:
    """Every request, in memory and — line by line as each one finishes — in a file.

    Raises:
        ConfigError: the file cannot be opened for appending.
    """

    def __init__(self, path: str | None) -> None:
        self.entries: list[LedgerEntry] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.generating = 0
        self.max_generating = 0
        self.connections = 0
        self.max_connections = 0
        self.prompt_tokens = 0  # of the requests that were billed
        self.completion_tokens = 0
        self._statuses: Counter[str] = Counter()
        self._file: TextIOWrapper | None = None
        if path is not None:
            try:
                self._file = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - open to the end
            except OSError as error:
                raise ConfigError(f"provider.emulator.ledger: {path}: {error.strerror}") from None

    def record_arrival(
        self, body: bytes, client_request_id: str | None, protocol: str = "chat"
    ) -> LedgerEntry:
        """Record a request as soon as its body is complete."""
        line = current_batch_request()
        entry = LedgerEntry(
            arrival=len(self.entries) + 1,
            received_at_ns=time.time_ns(),
            body_sha256=hashlib.sha256(body).hexdigest(),
            protocol=protocol,
            client_request_id=client_request_id,
            batch_id=None if line is None else line.batch_id,
            batch_custom_id=None if line is None else line.custom_id,
        )
        self.entries.append(entry)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        return entry

    def record_finish(self, entry: LedgerEntry) -> None:
        """Record that a request is over; its line is written and flushed."""
        entry.finished = True
        self.in_flight -= 1
        if entry.billed:
            self.prompt_tokens += entry.prompt_tokens
            self.completion_tokens += entry.completion_tokens
        self._statuses[str(entry.status) if entry.status is not None else "none"] += 1
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry).decode() + "\n")
            self._file.flush()

    def start_generating(self) -> None:
        """Count one more request that generates."""
        self.generating += 1
        self.max_generating = max(self.max_generating, self.generating)

    def jsonl(self) -> bytes:
        """Every request received so far, in the order of arrival, one JSON object a line."""
        return b"".join(msgspec.json.encode(entry) + b"\n" for entry in self.entries)

    def stats(self) -> dict[str, Any]:
        """Counts since the start; ``statuses`` has "none" for connections left without a status."""
        billed = [entry for entry in self.entries if entry.billed]
        return {
            "requests": len(self.entries),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "max_generating": self.max_generating,
            "connections": self.connections,
            "max_connections": self.max_connections,
            "statuses": dict(self._statuses),
            "rate_limited": self._statuses["429"],
            "billed_requests": len(billed),
            "billed_usd": str(sum((entry.billed_usd for entry in billed), Decimal(0))),
            "prompt_tokens": sum(entry.prompt_tokens for entry in billed),
            "cached_tokens": sum(entry.cached_tokens for entry in billed),
            "completion_tokens": sum(entry.completion_tokens for entry in billed),
        }


def iso_timestamp(ns: int) -> str:
    """An instant as the API writes it: ISO 8601 in UTC, to the millisecond."""
    stamp = datetime.fromtimestamp(ns // 1_000_000 / 1000, UTC)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ns // 1_000_000 % 1000:03}Z"
