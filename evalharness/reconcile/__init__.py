"""A provider's own log of requests against what a run recorded.

:mod:`.log` reads the log of the AI/ML API (``GET /v2/logs``), :mod:`.sources` says where
the logs are, :mod:`.spans` which time spans of them to read, :mod:`.join` compares. Nothing is
written into the run folder.
"""

from evalharness.reconcile.join import reconcile_attempts
from evalharness.reconcile.log import LogRow, read_log
from evalharness.reconcile.sources import LogSource, find_log_sources
from evalharness.reconcile.spans import time_spans

__all__ = [
    "LogRow",
    "LogSource",
    "find_log_sources",
    "read_log",
    "reconcile_attempts",
    "time_spans",
]
