"""Errors as the APIs word them: problem+json, the older AI/ML envelope, OpenAI's."""

from __future__ import annotations

import email.utils
import time
from http import HTTPStatus
from typing import Any

import msgspec

from evalharness.emulator.faults import Fault
from evalharness.emulator.ledger import iso_timestamp
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.validation.validation_hints import Hint

Headers = list[tuple[bytes, bytes]]

_MESSAGES = {
    400: "Body validation error",
    401: "Missing or expired API key. Use the key of your account as a Bearer token.",
    402: "Payment required.",
    403: "You've run out of credits. Please top up your balance to continue.",
    404: "The requested resource was not found.",
    405: "Method not allowed.",
    408: "The request timed out.",
    409: "The request conflicts with another one.",
    413: "The request body is too large.",
    429: "Too many requests. Please try again later.",
    500: "Internal server error.",
    502: "The upstream model answered with an error.",
    503: "The service is temporarily unavailable.",
    504: "The generation did not finish in time.",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_DEFAULT_ENVELOPE = {"generic": "problem", "aimlapi": "legacy", "openai": "openai"}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal, before it is put into the error format of a profile."""

    status: int
    message: str | None = None  # None: the usual one for the status
    code: str | None = None
    hints: list[Hint] = []
    headers: Headers = []


def status_phrase(status: int) -> str:
    """The standard phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def error_response(
    problem: Problem, options: EmulatorOptions, path: str, request_id: str
) -> tuple[Headers, bytes]:
    """Headers and body of an error in the profile's format."""
    message = problem.message or _MESSAGES.get(problem.status, f"{status_phrase(problem.status)}.")
    form = options.envelope or _DEFAULT_ENVELOPE[options.profile]
    kind = "application/problem+json" if form == "problem" else "application/json"
    make = {"problem": _problem_json, "legacy": _legacy, "openai": openai_error}[form]
    body = msgspec.json.encode(make(problem, message, path, request_id))
    return [(b"content-type", kind.encode()), *problem.headers], body


def _problem_json(problem: Problem, message: str, path: str, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status_phrase(problem.status),
        "status": problem.status,
        "detail": message,
        "instance": path,
        "request_id": request_id,
    }
    if problem.code is not None:
        body["code"] = problem.code
    if problem.hints:
        body["errors"] = [{"path": hint.path, "message": hint.message} for hint in problem.hints]
    return body


def _legacy(problem: Problem, message: str, path: str, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "requestId": request_id,
        "statusCode": str(problem.status),  # a text, as the API sends it
        "timestamp": iso_timestamp(time.time_ns()),
        "path": path,
        "message": message,
    }
    if problem.code is not None:
        body["code"] = problem.code
    if problem.hints:
        body["meta"] = [
            {"path": hint.path.split("."), "message": hint.message} for hint in problem.hints
        ]
    return body


def openai_error(problem: Problem, message: str, path: str, request_id: str) -> dict[str, Any]:
    """OpenAI's error object."""
    del path, request_id
    kind = _TYPES.get(problem.status, "server_error" if problem.status >= 500 else "api_error")
    param = problem.hints[0].path if problem.hints else None
    return {"error": {"message": message, "type": kind, "param": param, "code": problem.code}}


def status_problem(fault: Fault) -> Problem:
    """The refusal that ``status=…`` asks for."""
    headers: Headers = []
    keys = fault.keys
    if "retry-after" in keys:
        headers.append((b"retry-after", keys["retry-after"].encode("latin-1", "replace")))
    if "retry-after-ms" in keys:
        headers.append((b"retry-after-ms", keys["retry-after-ms"].encode("latin-1", "replace")))
    if "retry-after-date" in keys:
        headers.append((b"retry-after", _http_date(float(keys["retry-after-date"]))))
    return Problem(
        status=int(fault.number),
        message=keys.get("message"),
        code=keys.get("code"),
        headers=headers,
    )


def retry_headers(form: str, seconds: float) -> Headers:
    """When to come back, in the form that ``limit_retry_after`` names; never too early."""
    whole = int(-(-seconds // 1))
    forms: dict[str, Headers] = {
        "none": [],
        "int": [(b"retry-after", str(whole).encode())],
        "float": [(b"retry-after", f"{seconds + 0.0005:.3f}".encode())],
        "date": [(b"retry-after", _http_date(whole + 1))],
        "ms": [(b"retry-after-ms", str(int(seconds * 1000) + 1).encode())],
    }
    return forms[form]


def _http_date(seconds_from_now: float) -> bytes:
    return email.utils.formatdate(time.time() + seconds_from_now, usegmt=True).encode()
