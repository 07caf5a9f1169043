"""The AI/ML API's log of requests: every page of a time span, as typed rows.

``GET /v2/logs`` lists requests newest first. Rows appear some time after the request, also ones
that belong on a page already read; so a span is read again until two readings agree on how many
rows it has, and rows are told apart by their ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from evalharness.errors import ConfigError, ProviderError
from evalharness.http.get import GetResponse

PATH = "/v2/logs"
_PAGE = 100
# The API allows 200 requests in 60 s.
_PAUSE_S = 60.0 / 200
_LONGEST_WAIT_S = 60.0
_TRIES = 5
_READINGS = 3

Get = Callable[[str, Sequence[tuple[str, str]]], GetResponse]


class _Cost(msgspec.Struct):
    usd: Any = None  # a text in some answers, a number in others


class _Tokens(msgspec.Struct):
    input: int | None = None
    output: int | None = None
    total: int | None = None


class _Row(msgspec.Struct):
    created: str | None = None
    status: str | None = None
    model: str | None = None
    cost: _Cost | None = None
    tokens: _Tokens | None = None
    request_id: str | None = None
    inference_id: str | None = None
    client_request_id: str | None = None


class _Pagination(msgspec.Struct):
    total: int | None = None
    has_more: bool = False


class _Page(msgspec.Struct):
    data: list[_Row]
    pagination: _Pagination = msgspec.field(default_factory=_Pagination)


_page = msgspec.json.Decoder(_Page, float_hook=Decimal)


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One logged request; None where the log does not say.

    ``usd`` is what it cost, exactly as written; ``succeeded`` is False for a failed request.
    """

    client_request_id: str | None
    inference_id: str | None
    request_id: str | None
    created: str | None
    model: str | None
    succeeded: bool
    usd: Decimal | None
    prompt_tokens: int | None
    completion_tokens: int | None


def read_log(
    get: Get,
    url: str,
    start: datetime,
    end: datetime,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> list[LogRow]:
    """Every logged request of a time span.

    Args:
        get: sends one GET.
        url: of ``/v2/logs``.
        start: first moment.
        end: last moment; at most 92 days later.
        pause: waits some seconds; the API allows 200 requests in 60 s.

    Raises:
        ProviderError: the log cannot be read; the message says why.
        ConfigError: there is no such log at this address.
    """
    span = [("start", start.isoformat()), ("end", end.isoformat())]
    rows: dict[tuple[str | None, ...], LogRow] = {}
    before: int | None = None
    for _ in range(_READINGS):
        offset, total = 0, None
        while True:
            query = [*span, ("limit", str(_PAGE)), ("offset", str(offset))]
            page = _decode(_fetch(get, url, query, pause), url)
            for row in page.data:
                rows[_identity(row)] = _to_log_row(row)
            total = page.pagination.total
            offset += len(page.data)
            if not page.pagination.has_more or not page.data:
                break
            pause(_PAUSE_S)
        if total is None or total == before or len(rows) >= total == offset:
            break
        before = total
    return list(rows.values())


def _identity(row: _Row) -> tuple[str | None, ...]:
    if row.request_id is not None or row.inference_id is not None:
        return row.request_id, row.inference_id
    return row.client_request_id, row.created


def _fetch(
    get: Get, url: str, query: Sequence[tuple[str, str]], pause: Callable[[float], None]
) -> bytes:
    """The body of one page; retries on 429, on server errors and on lost connections."""
    problem = ""
    for attempt in range(_TRIES):
        response = get(url, query)
        if response.status == 200:
            return response.body
        problem = (
            response.problem
            or f"HTTP {response.status}: {response.body[:200].decode(errors='replace')}"
        )
        if response.status in (401, 403):
            raise ProviderError(
                f"{url} refused the key: {problem}", hint="check the variable provider.api_key_env"
            )
        if response.status in (404, 405):
            raise ConfigError(
                f"there is no {PATH} at {url}", hint="reconcile works with the AI/ML API"
            )
        if response.status is not None and response.status != 429 and response.status < 500:
            break
        if attempt + 1 < _TRIES:
            pause(_wait_s(response, attempt))
    raise ProviderError(f"{url} cannot be read: {problem}", hint="try again later")


def _wait_s(response: GetResponse, attempt: int) -> float:
    """The server's ``Retry-After`` where that is a plain number, else a growing pause."""
    retry_after = response.retry_after or ""
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6:
        return min(float(retry_after), _LONGEST_WAIT_S)
    return min(2.0**attempt * 4.0, _LONGEST_WAIT_S) if response.status == 429 else 2.0**attempt


def _decode(body: bytes, url: str) -> _Page:
    try:
        return _page.decode(body)
    except (msgspec.MsgspecError, ArithmeticError) as error:
        raise ProviderError(f"{url} answered with something else than a log: {error}") from None


def _to_log_row(row: _Row) -> LogRow:
    tokens = row.tokens or _Tokens()
    return LogRow(
        client_request_id=row.client_request_id,
        inference_id=row.inference_id,
        request_id=row.request_id,
        created=row.created,
        model=row.model,
        succeeded=row.status == "succeeded",
        usd=_dollars(None if row.cost is None else row.cost.usd),
        prompt_tokens=tokens.input,
        completion_tokens=tokens.output,
    )


def _dollars(value: Any) -> Decimal | None:
    """An exact amount; None where the value is no amount."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        amount = Decimal(value)
    except ArithmeticError:
        return None
    return amount if amount.is_finite() else None
