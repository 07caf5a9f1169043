"""A provider's own log of requests against what a run recorded.

:mod:`.log` reads the log of the AI/ML API (``GET /v2/logs``), :mod:`.spans` says when and where to
look, :mod:`.join` compares. Nothing is written into the run folder.
"""

from evalharness.reconcile.join import reconcile_attempts
from evalharness.reconcile.log import LogRow, read_log
from evalharness.reconcile.spans import Source, sources, spans

__all__ = ["LogRow", "Source", "read_log", "reconcile_attempts", "sources", "spans"]
