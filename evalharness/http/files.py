"""HTTP for the endpoints beside completions: small answers, bodies out of files, files as answers.

The same rules as for completions: no redirects, no cookies, only ``identity``, the same
certificates and time limits; failures are values. There is no limit for a whole transfer: a file
takes as long as it takes, as long as bytes move.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from evalharness.config.models import LimitsConfig
from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings, client_context
from evalharness.http.exchange import Exchange, ExchangeRecorder, ResponseRefusedError
from evalharness.http.httpx_transport import REQUEST_SENT, failed_exchange
from evalharness.http.unix_url import is_unix_url, split_unix_url
from evalharness.records import ErrorKind


class FileBody(NamedTuple):
    """A request body that need not fit into memory: its length, and its pieces from the start."""

    size: int
    pieces: Callable[[], Iterator[bytes]]


class FileTransport:
    """Sends requests of any method; use it as an async context manager.

    Args:
        limits: time limits, and ``max_response_mib`` of what is not written into a file.
        tls: the certificates.
    """

    def __init__(self, limits: LimitsConfig, tls: TlsSettings = SYSTEM_TRUST) -> None:
        self._limits, self._tls = limits, tls
        self._clients: dict[str | None, httpx.AsyncClient] = {}  # by the path of a Unix socket

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: FileBody | bytes | None = None,
        *,
        target: Path | None = None,
        clean: Callable[[bytes], bytes] = bytes,
    ) -> Exchange:
        """Send one request and read its response to the end; failures are values.

        Args:
            method: of HTTP.
            url: where to.
            headers: with lower-case names.
            body: None sends none.
            target: where the body of a response with status 200 goes, line by line, and not into
                the exchange; the file is synced, and whole only if the exchange has no failure.
            clean: changes each of these lines before it is written.
        """
        recorder = ExchangeRecorder(self._limits)
        sent = False

        async def trace(name: str, _: Any) -> None:
            nonlocal sent
            sent = sent or name == REQUEST_SENT

        try:
            client, url = self._client(url)
            request = client.build_request(
                method,
                url,
                headers=_headers(headers, body),
                content=_pieces(body) if isinstance(body, FileBody) else body,
                extensions={"trace": trace},
            )
            response = await client.send(request, stream=True)
            try:
                if target is not None and response.status_code == 200:
                    # Its length is not limited; its encoding is.
                    recorder.record_head(200, _without_length(response.headers.multi_items()))
                    await _write(response, target, clean)
                elif target is not None and 200 < response.status_code < 300:
                    raise ResponseRefusedError(
                        ErrorKind.BAD_RESPONSE,
                        f"a file was asked for, and HTTP {response.status_code} came without it",
                    )
                else:
                    recorder.record_head(response.status_code, response.headers.multi_items())
                    async for chunk in response.aiter_raw():
                        recorder.record_chunk(chunk)
            finally:
                await response.aclose()
        except ResponseRefusedError as error:
            return recorder.finish(error.kind, error.message)
        except ValueError as error:
            return recorder.finish(ErrorKind.BAD_URL, f"the URL {error}", reached=False)
        except httpx.ReadTimeout:
            return recorder.finish(
                ErrorKind.FIRST_BYTE_TIMEOUT, "a time limit passed", reached=sent
            )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            return failed_exchange(recorder, error, sent=sent)
        return recorder.finish()

    def _client(self, url: str) -> tuple[httpx.AsyncClient, str]:
        socket_path = None
        if is_unix_url(url):
            socket_path, path = split_unix_url(url)
            url = f"http://localhost{path}"
        if socket_path not in self._clients:
            self._clients[socket_path] = self._new_client(socket_path)
        return self._clients[socket_path], url

    def _new_client(self, socket_path: str | None) -> httpx.AsyncClient:
        limits = self._limits
        return httpx.AsyncClient(
            transport=None if socket_path is None else httpx.AsyncHTTPTransport(uds=socket_path),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"user-agent": "evalharness"},
            follow_redirects=False,
            trust_env=limits.trust_env_proxies,
            verify=client_context(self._tls),
            timeout=httpx.Timeout(
                connect=limits.timeout_connect_s,
                read=limits.timeout_first_byte_s,
                write=limits.timeout_write_s,
                pool=limits.timeout_connect_s,
            ),
            # A poll every few minutes finds no connection that the server has kept.
            limits=httpx.Limits(max_keepalive_connections=0),
        )


def _without_length(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() != "content-length"]


def _headers(headers: dict[str, str], body: FileBody | bytes | None) -> dict[str, str]:
    fields = {**headers, "accept-encoding": "identity"}
    if isinstance(body, FileBody):
        fields["content-length"] = str(body.size)
    return fields


async def _pieces(body: FileBody) -> AsyncIterator[bytes]:
    for piece in body.pieces():
        yield piece


async def _write(response: httpx.Response, target: Path, clean: Callable[[bytes], bytes]) -> None:
    begun: list[bytes] = []  # of a line whose end has not come
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        async for chunk in response.aiter_raw():
            first, *others = chunk.split(b"\n")
            begun.append(first)
            for other in others:
                file.write(clean(b"".join(begun)) + b"\n")
                begun = [other]
        if rest := b"".join(begun):
            file.write(clean(rest) + b"\n")
        file.flush()
        os.fsync(file.fileno())
