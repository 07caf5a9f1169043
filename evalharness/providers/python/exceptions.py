"""Which error an exception of a user's function is: by its class, the most special one first.

The table can be extended: a function may have an attribute ``errors``, a mapping from exception
classes (or their names) to error kinds (``docs/schema.md``), which is looked at first.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from types import CodeType
from typing import Any, NamedTuple

from evalharness.chat_api.log_redaction import redact
from evalharness.errors import ConfigError
from evalharness.records import ErrorKind, Outcome

# Of SDKs, by name: none of them is imported here.
_BY_NAME = {
    "RateLimitError": ErrorKind.RATE_LIMITED,
    "TooManyRequests": ErrorKind.RATE_LIMITED,
    "AuthenticationError": ErrorKind.UNAUTHORIZED,
    "PermissionDeniedError": ErrorKind.FORBIDDEN,
    "NotFoundError": ErrorKind.NOT_FOUND,
    "BadRequestError": ErrorKind.BAD_REQUEST,
    "UnprocessableEntityError": ErrorKind.BAD_REQUEST,
    "ConflictError": ErrorKind.CONFLICT,
    "InternalServerError": ErrorKind.SERVER_ERROR,
    "ServiceUnavailableError": ErrorKind.UNAVAILABLE,
    "OverloadedError": ErrorKind.UNAVAILABLE,
    "APITimeoutError": ErrorKind.TOTAL_TIMEOUT,
    "ReadTimeout": ErrorKind.TOTAL_TIMEOUT,
    "ConnectTimeout": ErrorKind.CONNECT_TIMEOUT,
    "ConnectError": ErrorKind.CONNECT,
    "APIConnectionError": ErrorKind.CONNECTION_LOST,
    "ReadError": ErrorKind.CONNECTION_LOST,
    "RemoteProtocolError": ErrorKind.CONNECTION_LOST,
}
_BY_CLASS: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (asyncio.TimeoutError, ErrorKind.TOTAL_TIMEOUT),
    (TimeoutError, ErrorKind.TOTAL_TIMEOUT),
    (ConnectionRefusedError, ErrorKind.CONNECT),
    (ConnectionError, ErrorKind.CONNECTION_LOST),
)
_NOT_SENT = frozenset({ErrorKind.DNS, ErrorKind.CONNECT, ErrorKind.CONNECT_TIMEOUT, ErrorKind.TLS,
                       ErrorKind.POOL_TIMEOUT})  # fmt: skip
_IN_DOUBT = frozenset({ErrorKind.TOTAL_TIMEOUT, ErrorKind.FIRST_BYTE_TIMEOUT,
                       ErrorKind.STALL_TIMEOUT, ErrorKind.WRITE_TIMEOUT, ErrorKind.STREAM_CUT,
                       ErrorKind.STREAM_ERROR, ErrorKind.CONNECTION_LOST})  # fmt: skip
_MAX_MESSAGE = 500
ErrorTable = Mapping[Any, Any]


class CallFailure(NamedTuple):
    """A classified failure of a call."""

    kind: ErrorKind
    outcome: Outcome
    message: str


def check_error_table(table: object) -> dict[str, ErrorKind]:
    """An own table, by names of classes.

    Raises:
        ConfigError: it is no mapping of exception classes to error kinds.
    """
    if not isinstance(table, Mapping):
        raise ConfigError("`errors` must map exception classes to error kinds")
    checked: dict[str, ErrorKind] = {}
    for key, value in table.items():  # pyright: ignore[reportUnknownVariableType]
        name = key.__name__ if isinstance(key, type) else str(key)  # pyright: ignore[reportUnknownArgumentType]
        try:
            checked[name] = ErrorKind(str(value))  # pyright: ignore[reportUnknownArgumentType]
        except ValueError:
            known = ", ".join(kind.value for kind in ErrorKind)
            raise ConfigError(
                f"`errors`: {value!r} is no error kind", hint=f"one of {known}"
            ) from None
    return checked


def classify(
    error: BaseException, own: Mapping[str, ErrorKind], code: CodeType | None
) -> CallFailure:
    """The failure that an exception is; an unknown one is the function's own mistake: no retry.

    Args:
        error: what was raised.
        own: the user's table, by class name.
        code: of the user's function, to name its line in the message.
    """
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((own[name] for name in names if name in own), None)
    kind = kind or next((_BY_NAME[name] for name in names if name in _BY_NAME), None)
    kind = kind or next((k for cls, k in _BY_CLASS if isinstance(error, cls)), None)
    kind = kind or ErrorKind.BAD_REQUEST
    text = redact(f"{type(error).__name__}: {_words(error)}").strip()[:_MAX_MESSAGE]
    return CallFailure(kind, outcome_of(kind), f"{text} ({_place(error, code)})")


def outcome_of(kind: ErrorKind) -> Outcome:
    """What is known about billing after a failure of this kind."""
    if kind in _NOT_SENT:
        return Outcome.NOT_SENT
    return Outcome.IN_DOUBT if kind in _IN_DOUBT else Outcome.REJECTED


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception of the user's whose words fail
        return "(its words cannot be read)"


def _place(error: BaseException, code: CodeType | None) -> str:
    """Function and line: the innermost frame in the user's file, else where the function begins."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if own:
        return f"{own[-1].name}, {_file_name(own[-1].filename)}:{own[-1].lineno}"
    if code is not None:
        return f"{code.co_name}, {_file_name(code.co_filename)}:{code.co_firstlineno}"
    return "no line known"


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
