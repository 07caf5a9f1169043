"""Whose request it is: files and batches belong to the API key that made them."""

from __future__ import annotations

from collections.abc import Mapping

from evalharness.emulator.request_intake import RequestRefusedError
from evalharness.emulator.validation.error_bodies import Problem


def request_account(headers: Mapping[str, str], required: str | None) -> str:
    """The key of a request, from ``x-api-key`` or as a bearer; empty where none is needed or sent.

    Raises:
        RequestRefusedError: a 401, as ``require_key`` demands.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    key = headers.get("x-api-key", "").strip() or bearer
    if required is not None and (not key or required not in ("*", key)):
        raise RequestRefusedError(Problem(status=401, code="invalid_api_key"))
    return key
