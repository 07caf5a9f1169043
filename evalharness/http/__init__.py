"""HTTP: one POST, observed, behind an interface that hides the HTTP libraries.

:func:`open_transport` gives an implementation of :class:`Transport`; all behave the same (the
contract tests run over each). Only modules in this package may import an HTTP library.
"""

from __future__ import annotations

from typing import Any, Literal

from evalharness.config.models import LimitsConfig
from evalharness.http.exchange import Exchange, Transport

__all__ = ["Exchange", "Transport", "open_transport"]


def open_transport(
    kind: Literal["auto", "reqwest", "httpx"],
    limits: LimitsConfig,
    *,
    httpx_transport: Any = None,
    httpx_auth: Any = None,
) -> Transport:
    """Create a transport; use it as an async context manager.

    Args:
        kind: ``auto`` (own connections over plain http, pyreqwest for TLS and proxies),
            ``reqwest`` (pyreqwest) or ``httpx`` (``httpx.AsyncClient``).
        limits: time limits, ``concurrency`` (= connections), ``max_response_mib`` and
            ``trust_env_proxies``.
        httpx_transport: an ``httpx.AsyncBaseTransport`` to use below httpx, e.g. a MockTransport
            or a proxying one; only with ``httpx``.
        httpx_auth: an ``httpx.Auth``; only with ``httpx``.
    """
    if kind == "httpx":
        from evalharness.http.httpx_transport import HttpxTransport

        return HttpxTransport(limits, transport=httpx_transport, auth=httpx_auth)
    if httpx_transport is not None or httpx_auth is not None:
        raise ValueError("httpx_transport and httpx_auth need kind='httpx'")
    if kind == "auto":
        from evalharness.http.auto import AutoTransport

        return AutoTransport(limits)
    from evalharness.http.reqwest_transport import ReqwestTransport

    return ReqwestTransport(limits)
