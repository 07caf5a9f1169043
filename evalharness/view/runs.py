"""The runs that are viewed, found by the part of the address that names them.

A run is called by the name of its folder, with ``~1/`` before it where it is in the second of
several results roots. What an address names is looked up among the runs that were found, and never
made into a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from starlette.convertors import Convertor, register_url_convertor

from evalharness.errors import RunNotFoundError, StorageError
from evalharness.listing.results_folder import RunFiles, list_run_files, map_runs
from evalharness.listing.run_row import ListedRun, read_row
from evalharness.store.folder.run import Run
from evalharness.view.content.jobs import NamedRun

KEY_PATTERN = r"(?:~[0-9]+/)?[^/]+"
_NEEDS_ROOT = re.compile(r"~[0-9]+")
_FILES = ("run.json", "summary.json", "notes.json")


class ViewedRun(NamedTuple):
    """A run with the name it has in addresses: ``nightly-1``, or ``~1/nightly-1``."""

    key: str
    files: RunFiles

    def open(self) -> Run:
        """The run opened for reading; one in a store is fetched.

        Raises:
            RunNotFoundError, StorageError: it cannot be opened.
        """
        root = self.files.root
        try:
            return Run.open(self.files.location if root is None else root.absolute())
        except OSError as error:
            what = f"{self.files.location} cannot be read: {error.strerror}"
            raise StorageError(what) from error

    def state(self, updated_at: object) -> object:
        """What changes when the run is written or marked: names what was computed of it."""
        root = self.files.root
        return updated_at, None if root is None else _stamp(root / "annotations.parquet")

    def named(self, opened: Run) -> NamedRun:
        """The opened run for a process that computes something of it."""
        return NamedRun(self.key, str(opened.root.absolute()), self.files.location)


class RunRow(NamedTuple):
    """A line of the list of runs."""

    key: str
    row: ListedRun


class _KeyConvertor(Convertor[str]):
    regex = KEY_PATTERN

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


#: ``{run:run}`` in the path of a route.
register_url_convertor("run", _KeyConvertor())


class ViewedRuns:
    """All runs of the places that were named, found anew for every list.

    Args:
        places: paths and URLs of results roots, and runs; empty is ``results/``.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self._places = list(places)
        self._roots: dict[str, int] = {}
        self._known: dict[str, ViewedRun] = {}
        self._rows: dict[str, tuple[object, ListedRun]] = {}
        self._lock = Lock()  # pages are made by several threads

    def find_all(self) -> list[ViewedRun]:
        """All runs there are now.

        Raises:
            RunNotFoundError: a place holds no runs.
            StorageError: an object store refused.
        """
        listed = list_run_files(self._places)
        with self._lock:
            runs = [ViewedRun(self._key(files), files) for files in listed]
            self._known = {run.key: run for run in runs}
        return runs

    def find(self, key: str) -> ViewedRun:
        """The run of this name.

        Raises:
            RunNotFoundError: there is none.
        """
        run = self._known.get(key)
        if run is None or (run.files.root is not None and not run.files.root.is_dir()):
            self.find_all()
            run = self._known.get(key)
        if run is None:
            raise RunNotFoundError(f"there is no run `{key}` here", hint="the list has all runs")
        return run

    def as_typed(self, text: str) -> str:
        """A message with paths as they were typed: those of this machine help no reader.

        They are relative to the working folder, else to the home, unless a place was given so.
        """
        if any(Path(place).is_absolute() and place in text for place in self._places):
            return text
        home = os.path.expanduser("~")  # noqa: PTH111 — Path.home() fails where there is none
        return text.replace(f"{Path.cwd()}/", "").replace(f"{home}/", "~/")

    def other_keys(self, key: str, at_most: int = 200) -> list[str]:
        """Names of other runs, to be offered: of those there were when one was last looked for."""
        others = (other for other in self._known if other != key)
        return list(islice(others, at_most))

    def rows(self) -> list[RunRow]:
        """A line for each run; one whose small files are as before is not read again."""
        runs = self.find_all()
        rows = map_runs(self._read, [run.files for run in runs])
        return [RunRow(run.key, row) for run, row in zip(runs, rows, strict=True) if row]

    def is_local(self, key: str) -> bool:
        """Whether a run that was found is a folder of this machine."""
        run = self._known.get(key)
        return run is not None and run.files.root is not None

    def row(self, run: ViewedRun) -> ListedRun:
        """The line of one run.

        Raises:
            RunNotFoundError: the folder holds no run any more.
        """
        row = self._read(run.files)
        if row is None:
            raise RunNotFoundError(f"there is no run `{run.key}` here", hint="the list has all")
        return row

    def _read(self, files: RunFiles) -> ListedRun | None:
        state = None if files.root is None else _state(files.root)
        known = self._rows.get(files.location)
        if known is not None and state is not None and known[0] == state:
            return known[1]
        row = read_row(files)
        if row is not None and state is not None and row.status not in ("running", "interrupted"):
            self._rows[files.location] = (state, row)
        return row

    def _key(self, files: RunFiles) -> str:
        parent = files.location.rpartition("/")[0] if files.root is None else _parent(files.root)
        number = self._roots.setdefault(parent, len(self._roots))
        needs_root = number or _NEEDS_ROOT.fullmatch(files.name)
        return f"~{number}/{files.name}" if needs_root else files.name


def _parent(root: Path) -> str:
    return str(root.resolve().parent)


def _state(root: Path) -> object:
    """What changes when one of the small files of a run is replaced."""
    return tuple(_stamp(root / name) for name in _FILES)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
