"""One HTTP GET, for the few things a provider is asked beside completions (its log of requests).

Synchronous: it happens before or after a run, never in one. The same rules as for completions: no
redirects, no proxies from the environment, only ``identity``, the system's certificate authorities,
and a bound on what is read. The key is in no message.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import certifi
import httpx
import msgspec

from evalharness.http.redaction import Scrubber, Secret

_MOST_BYTES = 16 * 2**20


class Got(msgspec.Struct, frozen=True):
    """What a GET came to; ``status`` is None where no whole response came, ``problem`` says why."""

    status: int | None
    body: bytes = b""
    retry_after: str | None = None
    problem: str | None = None


class Getter:
    """Sends GETs with one key; use it as a context manager.

    Args:
        key: sent as a bearer token; None sends no Authorization header.
        timeout_s: of connecting, and of each wait for bytes.
    """

    def __init__(self, key: Secret | None, *, timeout_s: float = 30.0) -> None:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if key is not None:
            headers["authorization"] = f"Bearer {key.reveal()}"
        self._scrub = Scrubber([] if key is None else [key])
        self._client = httpx.Client(
            headers={**headers, "user-agent": "evalharness"},
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=_trusted(),
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

    def get(self, url: str, params: Sequence[tuple[str, str]]) -> Got:
        """Send one GET and read its response to the end; failures are values, not exceptions."""
        try:
            with self._client.stream(
                "GET", url, params=httpx.QueryParams(list(params))
            ) as response:
                body = bytearray()
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        return Got(None, problem=f"the response is over {_MOST_BYTES} bytes")
                return Got(
                    response.status_code,
                    self._scrub.scrub_bytes(bytes(body)),
                    response.headers.get("retry-after"),
                )
        except httpx.HTTPError as error:
            return Got(None, problem=self._scrub.scrub(str(error) or type(error).__name__))


def _trusted() -> ssl.SSLContext:
    """The system's certificate authorities, else certifi's."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    return context
