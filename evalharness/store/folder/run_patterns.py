"""Patterns wherever a run is named: ``nightly-*`` is every run that is called so."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from evalharness.errors import ConfigError, RunNotFoundError
from evalharness.process.text import first_names, plural
from evalharness.store.remote.addresses import is_url
from evalharness.store.remote.object_store import RemoteFolder

RESULTS = Path("results")
# What only the folder of a run holds; an import has no journal.
_SIGNS = ("journal", "records", "settings.parquet")


def holds_run(folder: Path) -> bool:
    """Whether a folder holds the files of a run, also where it has lost its manifest."""
    return (folder / "run.json").is_file() or any((folder / sign).exists() for sign in _SIGNS)


def is_pattern(run: str) -> bool:
    """Whether the name, path or URL of a run is a pattern (``*``, ``?``, ``[…]``).

    The ``?`` of a URL begins its options.
    """
    return any(c in run.partition("?")[0] for c in "*[") or (not is_url(run) and "?" in run)


def expand_runs(runs: Sequence[str], *, results: Path = RESULTS) -> list[str]:
    """Names, paths and URLs as they are, and in the place of each pattern the runs it matches.

    A folder that is called exactly like the pattern is meant itself. Runs of a pattern come in the
    order of their names, without those that are in the list already.

    Raises:
        RunNotFoundError: a pattern matches no run.
        StorageError: an object store refused.
    """
    expanded: list[str] = []
    for run in runs:
        if not is_pattern(run) or (results / run).exists() or Path(run).exists():
            expanded.append(run)
            continue
        matches = _matches(run, results)
        if not matches:
            raise RunNotFoundError(
                f"no run matches `{run}`", hint="evalharness list shows the runs there are"
            )
        expanded += [match for match in matches if match not in expanded]
    return expanded


def match_one(pattern: str, *, results: Path = RESULTS) -> str:
    """The one run that a pattern matches, for a command that takes one.

    Raises:
        RunNotFoundError: it matches none.
        ConfigError: it matches several.
        StorageError: an object store refused.
    """
    runs = expand_runs([pattern], results=results)
    if len(runs) > 1:
        raise ConfigError(
            f"`{pattern}` matches {plural(len(runs), 'run')}, and one is needed: "
            f"{first_names(runs, 10)}",
            hint=f"name one of them, such as {runs[-1]}",
        )
    return runs[0]


def _matches(pattern: str, results: Path) -> list[str]:
    if is_url(pattern):
        return _remote_matches(pattern)
    by_name = _glob(pattern, results)
    runs = sorted(name for name in by_name if holds_run(results / name))
    return runs or sorted(path for path in _glob(pattern, None) if holds_run(Path(path)))


def _glob(pattern: str, folder: Path | None) -> list[str]:
    # Path.glob takes no absolute pattern.
    return glob.glob(pattern, root_dir=folder)  # noqa: PTH207


def _remote_matches(pattern: str) -> list[str]:
    import fnmatch

    address, mark, query = pattern.partition("?")
    parent, _, last = address.rpartition("/")
    if any(c in parent for c in "*["):
        raise ConfigError(
            f"{pattern}: only the last part of a URL may be a pattern", hint=f"{parent}/NAME"
        )
    folder = RemoteFolder(parent + mark + query)
    names = [name for name in folder.list_folders() if fnmatch.fnmatchcase(name, last)]
    names = [name for name in names if folder.read(f"{name}/run.json") is not None]
    return [f"{parent}/{name}{mark}{query}" for name in names]
