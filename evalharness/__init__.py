"""evalharness: batch evaluation and benchmarking of chat-completion APIs.

``load(RUN)`` opens a run folder as DataFrames (``docs/notebook.md``); everything else is behind the
``evalharness`` command. Nothing heavy is imported here.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers read it; see :mod:`evalharness.__main__`
if TYPE_CHECKING:
    from pathlib import Path

    from evalharness.api import RunFrames

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(run: str | Path) -> RunFrames:
    """Open a run by its name under ``results/``, by path or by URL.

    Raises:
        RunNotFoundError: when there is no such folder or it holds no run.
    """
    from evalharness.api import RunFrames

    return RunFrames.open(run)
