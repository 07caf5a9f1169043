"""Where a run is written and read: below a path, or below a URL with a local copy."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from evalharness.config.models import RunConfig
from evalharness.errors import RunInUseError, RunNotFoundError
from evalharness.store.folder.lock import hold_existing, take_lock
from evalharness.store.folder.run_folder import MANIFEST, RunFolder, now_iso, read_manifest
from evalharness.store.journal.worker_journals import list_unlisted
from evalharness.store.parts.retry_errors import relist
from evalharness.store.remote.object_store import Remote, is_url
from evalharness.store.remote.sync import Owner, make_copy_folder, mirror_of

_LOOK_EVERY_S = 0.1

#: Where local copies are kept, for commands that have no configuration.
STAGING = "EVALHARNESS_STAGING"


def results_root(results_dir: str, staging_dir: str | None = None) -> Path:
    """The folder of run folders on this machine.

    Raises:
        ConfigError: ``results_dir`` is a URL that cannot be written to.
    """
    if not is_url(results_dir):
        return Path(results_dir)
    url = Remote(results_dir).url
    folder = _staging(staging_dir) / hashlib.sha256(url.encode()).hexdigest()[:16]
    make_copy_folder(folder, url)
    return folder


def run_root(config: RunConfig) -> Path:
    """The folder of a configuration's run on this machine."""
    return results_root(config.results_dir, config.staging_dir) / config.name


def hold(config: RunConfig) -> int | None:
    """Take the lock of a run before anything else is worked out (see :func:`hold_existing`).

    Of a run in an object store, the local copy is brought up to date.

    Raises:
        RunInUseError, ConfigError, StorageError: as :meth:`.folder.RunFolder.open`.
    """
    root = run_root(config)
    mirror = mirror_of(root) if is_url(config.results_dir) else None
    if mirror is None:
        return hold_existing(root)
    lock = take_lock(root)
    try:
        taken = mirror.fetch(writing=True, takeover=config.takeover)
        if taken is not None:
            _note_takeover(root, taken)
            mirror.claim()
    except BaseException:
        os.close(lock)
        raise
    return lock


def readable_root(config: RunConfig) -> Path:
    """The folder of a configuration's run, brought up to date for reading."""
    root = run_root(config)
    if is_url(config.results_dir):
        _refresh(root)
    return root


def fetched(url: str) -> Path:
    """The local copy of a run given by URL, brought up to date for reading.

    Raises:
        RunNotFoundError: there is no run.
        StorageError: the store refused.
    """
    remote = Remote(url)
    above, _, name = remote.url.partition("?")[0].rpartition("/")
    query = remote.url.partition("?")[2]
    root = results_root(f"{above}?{query}" if query else above) / name
    _refresh(root)
    if not (root / MANIFEST).is_file():
        raise RunNotFoundError(
            f"no run at {remote.url}: it holds no {MANIFEST}", hint="evalharness run makes one"
        )
    return root


def runs_and_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell runs on a command line from ``key=value``; a URL may have a `=` in it."""
    runs = [a for a in arguments if is_url(a) or "=" not in a]
    return runs, [a for a in arguments if "=" in a and not is_url(a)]


def shown(root: Path) -> str:
    """A run as a person names it: its URL, or its path."""
    mirror = mirror_of(root)
    return str(root) if mirror is None else mirror.url


def publish(root: Path) -> None:
    """Upload what was written beside a finished run (its report); nothing for a run on a path.

    Raises:
        StorageError: the store refused.
    """
    mirror = mirror_of(root)
    if mirror is not None:
        mirror.push([])


def _note_takeover(root: Path, owner: Owner) -> None:
    """Say in the manifest that a journal is lost; list parts whose seal it had not finished."""
    manifest = read_manifest(root)
    if manifest is None:
        return
    folder = RunFolder(root, -1, manifest)
    relist(folder)
    list_unlisted(folder, {})
    left = "" if manifest.planned is None else f" (up to {manifest.planned - manifest.recorded})"
    manifest.notes.append(
        f"{now_iso()}: taken over from {owner.host}, whose journal is lost: trials without a "
        f"record{left} may have been sent and billed there, and are asked again; what they cost "
        "there counts towards no limit"
    )
    folder.save_manifest()


def _refresh(root: Path) -> None:
    """Bring a local copy up to date, unless somebody writes it or does the same.

    What is there already is read then; the first copy of a run is waited for.
    """
    mirror = mirror_of(root)
    assert mirror is not None
    while (lock := _lock_for_reading(root)) is None:
        if (root / MANIFEST).is_file():
            return
        time.sleep(_LOOK_EVERY_S)
    try:
        mirror.fetch(writing=False)
    finally:
        os.close(lock)


def _lock_for_reading(root: Path) -> int | None:
    """The lock; None while the run is written here, or another reader fetches it."""
    try:
        return take_lock(root)
    except RunInUseError:
        return None


def _staging(named: str | None) -> Path:
    if named is None:
        named = os.environ.get(STAGING)
    if named is not None:
        return Path(named)
    import platformdirs

    return platformdirs.user_state_path("evalharness") / "runs"
