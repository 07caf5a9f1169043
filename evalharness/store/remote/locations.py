"""Local folders of runs, whose results root is a path or a URL with a local copy."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from evalharness.config.models import RunConfig
from evalharness.errors import RunInUseError, RunNotFoundError
from evalharness.store.folder.lock import lock_existing, take_lock
from evalharness.store.folder.run_folder import MANIFEST, RunFolder, now_iso, read_manifest
from evalharness.store.folder.run_patterns import expand_runs
from evalharness.store.journal.worker_journals import list_unlisted_parts
from evalharness.store.parts.retry_errors import relist_parts
from evalharness.store.remote.addresses import is_url
from evalharness.store.remote.object_store import RemoteFolder
from evalharness.store.remote.sync import Owner, find_sync, make_copy_folder

_LOOK_EVERY_S = 0.1

#: Environment variable with the folder of local copies, for commands without a configuration.
STAGING = "EVALHARNESS_STAGING"


def results_root(results_dir: str, staging_dir: str | None = None) -> Path:
    """The folder of run folders on this machine.

    Raises:
        ConfigError: ``results_dir`` is a URL that cannot be written to.
    """
    if not is_url(results_dir):
        return Path(results_dir)
    url = RemoteFolder(results_dir).url
    folder = _staging(staging_dir) / hashlib.sha256(url.encode()).hexdigest()[:16]
    make_copy_folder(folder, url)
    return folder


def run_root(config: RunConfig) -> Path:
    """The folder of a configuration's run on this machine."""
    return results_root(config.results_dir, config.staging_dir) / config.name


def acquire_lock(config: RunConfig) -> int | None:
    """Take the lock of a run before its plan is made (see :func:`lock_existing`).

    If the run is in an object store, its local copy is brought up to date.

    Raises:
        RunInUseError, ConfigError, StorageError: as :meth:`.folder.RunFolder.open`.
    """
    root = run_root(config)
    sync = find_sync(root) if is_url(config.results_dir) else None
    if sync is None:
        return lock_existing(root)
    lock = take_lock(root)
    try:
        previous_owner = sync.fetch(writing=True, claim_lost_copy=config.claim_lost_copy)
        if previous_owner is not None:
            _note_lost_copy(root, previous_owner)
            sync.claim()
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


def fetch_run(url: str) -> Path:
    """The local copy of a run given by URL, brought up to date for reading.

    Raises:
        RunNotFoundError: there is no run.
        StorageError: the store refused.
    """
    remote = RemoteFolder(url)
    parent, _, name = remote.url.partition("?")[0].rpartition("/")
    query = remote.url.partition("?")[2]
    root = results_root(f"{parent}?{query}" if query else parent) / name
    _refresh(root)
    if not (root / MANIFEST).is_file():
        raise RunNotFoundError(
            f"no run at {remote.url}: it holds no {MANIFEST}", hint="evalharness run makes one"
        )
    return root


def split_runs_and_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate runs on a command line from ``key=value``; a URL may have a `=` in it.

    In the place of a pattern (``nightly-*``) stand the runs that it matches.

    Raises:
        RunNotFoundError: a pattern matches no run.
    """
    runs = expand_runs([a for a in arguments if is_url(a) or "=" not in a])
    return runs, [a for a in arguments if "=" in a and not is_url(a)]


def display_path(root: Path) -> str:
    """The URL of a run, or its path, for messages."""
    sync = find_sync(root)
    return str(root) if sync is None else sync.url


def upload_run(root: Path) -> None:
    """Upload new files of a finished run (its report); does nothing for a run on a path.

    Raises:
        StorageError: the store refused.
    """
    sync = find_sync(root)
    if sync is not None:
        sync.push([])


def _note_lost_copy(root: Path, owner: Owner) -> None:
    """Note in the manifest that the owner's journal is lost, and list parts of its open seals."""
    manifest = read_manifest(root)
    if manifest is None:
        return
    folder = RunFolder(root, -1, manifest)
    relist_parts(folder)
    list_unlisted_parts(folder, {})
    count = "" if manifest.planned is None else f" (up to {manifest.planned - manifest.recorded})"
    manifest.notes.append(
        f"{now_iso()}: taken over from {owner.host}, whose journal is lost: trials without a "
        f"record{count} may have been sent and billed there, and are asked again; what they cost "
        "there counts towards no limit"
    )
    folder.save_manifest()


def _refresh(root: Path) -> None:
    """Bring a local copy up to date, unless another process writes or refreshes it.

    Then the copy is read as it is; if it has no manifest yet, that is waited for.
    """
    sync = find_sync(root)
    assert sync is not None
    while (lock := _lock_for_reading(root)) is None:
        if (root / MANIFEST).is_file():
            return
        time.sleep(_LOOK_EVERY_S)
    try:
        sync.fetch(writing=False)
    finally:
        os.close(lock)


def _lock_for_reading(root: Path) -> int | None:
    """The lock; None while another process of this machine writes or fetches the run."""
    try:
        return take_lock(root)
    except RunInUseError:
        return None


def _staging(folder: str | None) -> Path:
    if folder is None:
        folder = os.environ.get(STAGING)
    if folder is not None:
        return Path(folder)
    import platformdirs

    return platformdirs.user_state_path("evalharness") / "runs"
