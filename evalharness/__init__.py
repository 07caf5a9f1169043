"""evalharness: batch evaluation and benchmarking of chat-completion APIs.

``run(…)`` runs a sweep, ``load(RUN)`` opens run folders as DataFrames (``docs/python.md``,
``docs/notebook.md``); both do what the ``evalharness`` command does. Nothing heavy is imported
here.
"""

from __future__ import annotations

from evalharness.config.package_version import __version__

TYPE_CHECKING = False  # as type checkers read it; see :mod:`evalharness.__main__`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, overload

    from evalharness.api import RunFrames, RunSetFrames
    from evalharness.providers.python.call import CallReply as Reply

else:

    def overload(function: object) -> object:
        """Stand in for typing's, which takes ten times as long to import as all of this."""
        return function


__all__ = ["Reply", "__version__", "arun", "load", "run"]


def run(
    *overrides: str, progress: bool = True, retry_errors: bool = False, **configuration: Any
) -> RunFrames:
    """Run a sweep, or continue it, and open its run folder.

    It does what ``evalharness run`` does: the same journal, limits, resume, folder and report
    files. The keywords are the configuration's (``evalharness run --help`` lists them all)::

        run(dataset="qa.jsonl", provider="openai", model="gpt-4.1-mini",
            sweep={"temperature": [0, 0.7]}, repeats=5, name="mine")
        run(dataset=[{"prompt": "2 + 2?", "target": "4"}], call=my_function, scoring="includes")

    Args:
        overrides: words of the command line, such as ``"limits.rpm=60"``.
        progress: show a bar (notebooks, terminals) or lines.
        retry_errors: also send again what an earlier session recorded as an error.
        configuration: ``provider``, ``sweep``, ``limits``, … the name of an option, or a mapping of
            keys; a dotted key with two underscores (``limits__rpm=60``). ``dataset``: a path, a
            list of rows (or of texts), or a DataFrame. ``call``: a function that answers in place
            of a server (``docs/python.md``). ``model``, ``base_url`` and ``api_key_env`` are the
            provider's. ``name`` is the run's: the same name continues it.

    Raises:
        ConfigError, ProviderError, AccountError, BudgetReachedError, StorageError, RunInUseError:
            what the command would end with, with a hint; what was recorded is kept.
        KeyboardInterrupt: Ctrl-C; the first waits for what is in flight.
    """
    from evalharness.cli.python.run import run_keywords

    return run_keywords(overrides, configuration, progress=progress, retry_errors=retry_errors)


async def arun(
    *overrides: str, progress: bool = True, retry_errors: bool = False, **configuration: Any
) -> RunFrames:
    """As :func:`run`, for an event loop that goes on meanwhile; cancelling it is a Ctrl-C."""
    from evalharness.cli.python.run import arun_keywords

    return await arun_keywords(
        overrides, configuration, progress=progress, retry_errors=retry_errors
    )


def __getattr__(name: str) -> Any:
    if name == "Reply":
        from evalharness.providers.python.call import CallReply

        return CallReply
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# The linter does not know the overload above.
@overload
def load(run: str | Path) -> RunFrames: ...  # noqa: D103
@overload
def load(run: Sequence[str | Path]) -> RunSetFrames: ...  # noqa: D103, F811
def load(  # noqa: F811
    run: str | Path | Sequence[str | Path],
) -> RunFrames | RunSetFrames:
    """Open a run by its name under ``results/``, by path or by URL; or several, as one object.

    Raises:
        RunNotFoundError: when there is no such folder or it holds no run.
        ConfigError: of several: there is none, or one is named twice.
    """
    from pathlib import Path

    from evalharness.api import RunFrames, RunSetFrames

    return RunFrames.open(run) if isinstance(run, str | Path) else RunSetFrames.open(run)
