"""A folder with runs, on a path or in an object store, read file by file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from evalharness.errors import RunNotFoundError
from evalharness.store.folder.run_patterns import (
    RESULTS,
    expand_runs,
    holds_run,
    is_pattern,
)
from evalharness.store.remote.addresses import is_url
from evalharness.store.remote.object_store import RemoteFolder

_THREADS = 16  # requests to a store at once
T = TypeVar("T")


class RunFiles(Protocol):
    """The small files of one run folder."""

    @property
    def name(self) -> str:
        """Name of the run folder."""
        ...

    @property
    def location(self) -> str:
        """What a command takes for this run: its name under ``results/``, else its path or URL."""
        ...

    @property
    def root(self) -> Path | None:
        """The folder, None where it is in a store."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none.

        Raises:
            OSError, StorageError: it cannot be read.
        """
        ...


class LocalFiles:
    """Of a folder on a path."""

    def __init__(self, root: Path) -> None:
        # A link is typed by its own name, whatever it leads to.
        self.name = root.resolve().name if root.name in ("", "..") else root.name
        self.root: Path | None = root
        self._folder = root
        self.location = self.name if root == RESULTS / self.name else str(root)

    def read(self, name: str) -> bytes | None:
        """As :meth:`RunFiles.read`."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None


class RemoteFiles:
    """Of a folder in a store; ``parent`` is the results root, shared by its runs."""

    def __init__(self, parent: RemoteFolder, name: str) -> None:
        self.name = name
        self.root: Path | None = None
        self._parent = parent

    @property
    def location(self) -> str:
        """As :attr:`RunFiles.location`."""
        return self._parent.child(self.name).url

    def read(self, name: str) -> bytes | None:
        """As :meth:`RunFiles.read`."""
        return self._parent.read(f"{self.name}/{name}")


def list_run_files(places: Sequence[str]) -> list[RunFiles]:
    """The runs of results roots, and the runs that are named or matched by a pattern.

    Args:
        places: paths and URLs of results roots, and runs; empty is ``results/``.

    Raises:
        RunNotFoundError: one is neither a folder nor a run, or a pattern matches nothing.
        StorageError: an object store refused.
    """
    files: dict[str, RunFiles] = {}
    for place in places or [str(RESULTS)]:
        for each in _of_place(place):
            files.setdefault(each.location, each)
    return list(files.values())


def _of_place(place: str) -> Iterator[RunFiles]:
    is_folder = not is_url(place) and ((RESULTS / place).exists() or Path(place).exists())
    if is_pattern(place) and not is_folder:
        for run in expand_runs([place]):
            yield from _of_place(run)
    elif is_url(place):
        yield from _of_url(place)
    elif holds_run(RESULTS / place):
        yield LocalFiles(RESULTS / place)
    elif holds_run(Path(place)):
        yield LocalFiles(Path(place))
    elif Path(place).is_dir():
        yield from (LocalFiles(path) for path in sorted(Path(place).iterdir()) if holds_run(path))
    elif Path(place) != RESULTS:  # in a new project there is none yet
        raise RunNotFoundError(
            f"`{place}` is neither a run nor a folder with runs", hint="evalharness list"
        )


def _of_url(url: str) -> Iterator[RunFiles]:
    folder = RemoteFolder(url)
    if folder.read("run.json") is not None:
        address, mark, query = folder.url.partition("?")
        parent, _, name = address.rpartition("/")
        yield RemoteFiles(RemoteFolder(parent + mark + query), name)
        return
    yield from (RemoteFiles(folder, name) for name in folder.list_folders())


def map_runs(read: Callable[[RunFiles], T], files: Sequence[RunFiles]) -> list[T]:
    """``read`` of every run, in order; several at once where they are in a store."""
    if all(each.root is not None for each in files):
        return [read(each) for each in files]
    with ThreadPoolExecutor(_THREADS) as pool:
        results: Iterable[T] = pool.map(read, files)
        return list(results)
