"""Reading a request: its body, its key, validation, and the fault it asks for."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from starlette.types import Receive

from evalharness.emulator.faults import Fault, FaultError, FaultStage, parse_fault
from evalharness.emulator.limiter import LimitRefusal
from evalharness.emulator.options import EmulatorOptions
from evalharness.emulator.validation import openai_rules, openapi_schema
from evalharness.emulator.validation.error_bodies import Problem, retry_headers
from evalharness.emulator.validation.validation_hints import (
    Hint,
    HintKind,
    hints_text,
    request_hints,
)

MAX_BODY_BYTES = 64 << 20


class RequestRefusedError(Exception):
    """A request that is answered with an error; carries what the answer says."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class RequestValidator:
    """Validates by the OpenAPI, and under the profile ``openai`` by OpenAI's further rules."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options
        self._any_model = takes_any_model(options)
        self._valid = openapi_schema.request_check(any_model=self._any_model)

    def valid_body(self, raw: bytes) -> dict[str, Any]:
        """The decoded body of a valid request.

        Raises:
            RequestRefusedError: it is not valid; a 400 in the API's words.
        """
        body = decode_body(raw)
        # The first target's OpenAPI has neither images nor developer messages; other servers do.
        checked = body if self._options.profile == "aimlapi" else _as_first_target(body)
        if not self._valid(checked):
            body = checked
            schema = openapi_schema.effective_schema(any_model=self._any_model)
            raise RequestRefusedError(_invalid_request(request_hints(schema, body)))
        valid = cast("dict[str, Any]", body)
        if self._options.profile == "openai":
            violations = openai_rules.violations(valid, self._options.max_choices)
            if violations:
                raise RequestRefusedError(_invalid_request(violations))
        return valid


def takes_any_model(options: EmulatorOptions) -> bool:
    """Whether any name of a model is served."""
    return options.profile != "aimlapi" if options.any_model is None else options.any_model


def served_models(options: EmulatorOptions) -> set[str] | None:
    """The names of the models that are served; None: any."""
    if takes_any_model(options):
        return None
    schema = openapi_schema.effective_schema(any_model=False)
    return set(schema["properties"]["model"]["enum"])


def decode_body(raw: bytes) -> Any:
    """The JSON of a request.

    Raises:
        RequestRefusedError: it is none.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = _invalid_request([Hint("", f"Invalid JSON: {error}", HintKind.JSON)])
        raise RequestRefusedError(problem) from None


def _as_first_target(body: Any) -> Any:
    """The body with system for developer messages, and without images, recordings and files."""
    whole = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    messages = whole.get("messages")
    if not isinstance(messages, list):
        return cast("Any", body)
    return {**whole, "messages": [_plain_message(m) for m in cast("list[Any]", messages)]}


def _plain_message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    plain = dict(cast("dict[str, Any]", message))
    if plain.get("role") == "developer":
        plain["role"] = "system"
    content = plain.get("content")
    if plain.get("role") == "user" and isinstance(content, list):
        texts = [part for part in cast("list[Any]", content) if not _is_media(part)]
        plain["content"] = texts or ""
    return plain


def _is_media(part: Any) -> bool:
    kind = cast("dict[str, Any]", part).get("type") if isinstance(part, dict) else None
    return kind in ("image_url", "input_audio", "file")


def requested_fault(
    headers: dict[bytes, bytes], body: dict[str, Any], *, stream: bool
) -> Fault | None:
    """The fault that the header ``x-emulator-fault`` or the field ``emulator_fault`` asks for.

    Raises:
        RequestRefusedError: it is not written as it should be, or does not suit the request.
    """
    spec: Any = headers.get(b"x-emulator-fault", b"").decode("latin-1")
    spec = spec or body.get("emulator_fault")
    if not spec:
        return None
    try:
        fault = parse_fault(str(spec))
        if fault.stage is FaultStage.STREAM and not stream:
            raise FaultError(f"fault {fault.name!r} needs a streamed request")
    except FaultError as error:
        problem = Problem(status=400, code="emulator_fault", message=f"emulator_fault: {error}")
        raise RequestRefusedError(problem) from None
    return fault


def is_authorised(
    headers: dict[bytes, bytes], required: str | None, *, in_own: bool = False
) -> bool:
    """Whether a request carries the key; ``*`` wants any, None wants none.

    ``in_own``: it may stand in ``x-api-key``, too, which counts where both are sent.
    """
    if required is None:
        return True
    own = headers.get(b"x-api-key", b"").decode("latin-1").strip() if in_own else ""
    scheme, _, sent = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    key = own or (sent.strip() if scheme.lower() == "bearer" else "")
    return bool(key) and required in ("*", key)


async def read_body(receive: Receive) -> bytes | None:
    """The whole body, up to 64 MiB of it; None when the client left first."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _invalid_request(hints: list[Hint]) -> Problem:
    code = "invalid_request"
    return Problem(status=400, code=code, message=hints_text(hints), hints=hints)


def rate_limit_problem(refusal: LimitRefusal, options: EmulatorOptions) -> Problem:
    """A 429 as the provider that the profile imitates words it."""
    message, code = "Rate limit reached for " + refusal.limit + ".", "rate_limit_exceeded"
    if refusal.limit == "burst":
        message = "Request rate increased too quickly. Please slow down and try again."
    elif refusal.limit == "tokens" and options.profile == "aimlapi":
        # The service behind the qwen models words its limit of tokens per minute like this,
        # although no money is missing.
        message, code = (
            "You exceeded your current quota of tokens per minute.",
            "insufficient_quota",
        )
    headers = retry_headers(options.limit_retry_after, refusal.retry_after_s)
    return Problem(status=429, code=code, message=message, headers=headers)
