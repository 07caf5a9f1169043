"""Keeps keys out of log records and tracebacks.

Replies are redacted where they are made (:mod:`.retention`). This is the second safeguard, for
libraries that log what they receive and for defects whose tracebacks quote it.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

from evalharness.http.redaction import Redactor, Secret

_secrets: set[Secret] = set()


class _LogState:
    """The redactor of all secrets read so far, and the record factory that was set before ours."""

    redactor = Redactor([])
    original_factory = logging.getLogRecordFactory()


def redact_in_logs(secret: Secret) -> None:
    """From now on no log record and no crash report of this process shows the secret."""
    if secret in _secrets:
        return
    if not _secrets:
        _LogState.original_factory = logging.getLogRecordFactory()
        logging.setLogRecordFactory(_redacted_record)
    _secrets.add(secret)
    _LogState.redactor = Redactor(_secrets)


def redact(text: str) -> str:
    """The text without the secrets that this process has read."""
    return _LogState.redactor.redact(text)


def crash_report(error: BaseException) -> str:
    """The traceback of a defect, without secrets."""
    return _LogState.redactor.redact("".join(traceback.format_exception(error)))


def _redacted_record(*arguments: Any, **keywords: Any) -> logging.LogRecord:
    record = _LogState.original_factory(*arguments, **keywords)
    message = record.getMessage()
    record.msg, record.args = _LogState.redactor.redact(message), None
    if record.exc_info and record.exc_info[1] is not None:
        # Formatters take this text instead of making their own.
        record.exc_text = crash_report(record.exc_info[1]).rstrip()
    return record
