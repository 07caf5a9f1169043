"""The provider's log is read whole, page by page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from evalharness.errors import ConfigError, ProviderError
from evalharness.http.get import GetResponse
from evalharness.reconcile import read_log
from evalharness.reconcile.log import LogRow

_START = datetime(2026, 1, 1, tzinfo=UTC)


class _Server:
    """A log that answers from a list; ``refuse`` answers come first."""

    def __init__(self, rows: int, refuse: Sequence[GetResponse] = (), late: int = 0) -> None:
        self.rows, self.refuse, self.late = rows, list(refuse), late
        self.paused: list[float] = []
        self.asked = 0

    def get(self, url: str, params: Sequence[tuple[str, str]]) -> GetResponse:
        self.asked += 1
        if self.refuse:
            return self.refuse.pop(0)
        query = dict(params)
        limit, offset = int(query["limit"]), int(query["offset"])
        ids = range(self.rows)[::-1]  # newest first
        if offset and self.late:
            self.rows, self.late = self.rows + self.late, 0  # appear while pages are read
        page = [{"client_request_id": f"evh-{i}", "request_id": f"r{i}", "status": "succeeded",
                 "cost": {"usd": "0.000000001"}} for i in ids[offset : offset + limit]]  # fmt: skip
        more = offset + len(page) < self.rows
        body = {"data": page, "pagination": {"total": self.rows, "has_more": more}}
        return GetResponse(200, json.dumps(body).encode())

    def read(self) -> list[LogRow]:
        end = _START + timedelta(days=1)
        return read_log(self.get, "http://x/v2/logs", _START, end, pause=self.paused.append)


def test_every_page_is_read_within_the_rate_that_is_allowed() -> None:
    """Pages follow each other at 200 a minute; each row comes once, its cost exact."""
    server = _Server(250)
    rows = server.read()
    assert len({row.client_request_id for row in rows}) == len(rows) == 250
    assert rows[0].usd == Decimal("0.000000001")
    assert server.asked == 3
    assert min(server.paused) >= 60 / 200


def test_rows_that_appear_while_reading_are_not_lost() -> None:
    """New rows shift the pages; reading again finds what slipped."""
    server = _Server(250, late=7)
    assert len(server.read()) == 257


def test_a_busy_log_is_asked_again_and_a_wrong_address_is_not() -> None:
    """429 and 5xx wait as told; 404, a refused key and another answer end it with a reason."""
    server = _Server(
        5, [GetResponse(429, retry_after="2"), GetResponse(503), GetResponse(None, problem="reset")]
    )
    assert len(server.read()) == 5
    assert server.paused[0] == 2.0
    with pytest.raises(ConfigError, match="no /v2/logs"):
        _Server(5, [GetResponse(404)]).read()
    with pytest.raises(ProviderError, match="refused the key"):
        _Server(5, [GetResponse(401)]).read()
    with pytest.raises(ProviderError, match="something else"):
        _Server(5, [GetResponse(200, b"<html>")]).read()
    with pytest.raises(ProviderError, match="HTTP 503"):
        _Server(5, [GetResponse(503)] * 9).read()
