"""Keeps keys out of what this process says by accident: log records and tracebacks.

Replies are scrubbed where they are made (:mod:`.retention`). This is the second net, for libraries
that log what they receive and for defects that quote it.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

from evalharness.http.redaction import Scrubber, Secret

_secrets: set[Secret] = set()


class _Net:
    """The scrubber of all secrets read so far, and the factory that was there before ours."""

    scrubber = Scrubber([])
    plain_record = logging.getLogRecordFactory()


def keep_out_of_logs(secret: Secret) -> None:
    """From now on no log record and no crash report of this process shows the secret."""
    if secret in _secrets:
        return
    if not _secrets:
        _Net.plain_record = logging.getLogRecordFactory()
        logging.setLogRecordFactory(_record)
    _secrets.add(secret)
    _Net.scrubber = Scrubber(_secrets)


def crash_report(error: BaseException) -> str:
    """The traceback of a defect, without secrets."""
    return _Net.scrubber.scrub("".join(traceback.format_exception(error)))


def _record(*arguments: Any, **more: Any) -> logging.LogRecord:
    record = _Net.plain_record(*arguments, **more)
    said = record.getMessage()
    record.msg, record.args = _Net.scrubber.scrub(said), None
    if record.exc_info and record.exc_info[1] is not None:
        # Formatters take this text instead of making their own.
        record.exc_text = crash_report(record.exc_info[1]).rstrip()
    return record
