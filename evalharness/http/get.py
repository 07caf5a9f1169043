"""One HTTP GET, for a provider's other endpoints (its log of requests).

Synchronous: it is used before or after a run, never during one. The same rules as for completions:
no redirects, no proxies from the environment, only ``identity``, the system's certificate
authorities, and a bound on what is read. The key is in no message.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx
import msgspec

from evalharness.http.certificates import SYSTEM_TRUST, TlsSettings, client_context
from evalharness.http.redaction import Redactor, Secret

_MAX_BYTES = 16 * 2**20


class GetResponse(msgspec.Struct, frozen=True):
    """The response to a GET; where none came whole, ``status`` is None and ``problem`` says why."""

    status: int | None
    body: bytes = b""
    retry_after: str | None = None
    problem: str | None = None


class GetClient:
    """Sends GETs with one key; use it as a context manager.

    Args:
        key: sent as a bearer token; None sends no Authorization header.
        tls: the certificates.
        timeout_s: of connecting, and of each wait for bytes.
    """

    def __init__(
        self,
        key: Secret | None,
        tls: TlsSettings = SYSTEM_TRUST,
        *,
        timeout_s: float = 30.0,
    ) -> None:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if key is not None:
            headers["authorization"] = f"Bearer {key.reveal()}"
        self._redactor = Redactor([] if key is None else [key])
        self._client = httpx.Client(
            headers={**headers, "user-agent": "evalharness"},
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=client_context(tls),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, url: str, params: Sequence[tuple[str, str]]) -> GetResponse:
        """Send one GET and read its response to the end; failures are values, not exceptions."""
        try:
            with self._client.stream(
                "GET", url, params=httpx.QueryParams(list(params))
            ) as response:
                body = bytearray()
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        return GetResponse(None, problem=f"the response is over {_MAX_BYTES} bytes")
                return GetResponse(
                    response.status_code,
                    self._redactor.redact_bytes(bytes(body)),
                    response.headers.get("retry-after"),
                )
        except httpx.HTTPError as error:
            return GetResponse(
                None, problem=self._redactor.redact(str(error) or type(error).__name__)
            )
