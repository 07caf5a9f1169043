"""Files that the user names for output, and opening a page in a browser."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from evalharness.errors import ConfigError, StorageError


def output_path(typed: str) -> Path:
    """The path of a file to write, as typed.

    Raises:
        ConfigError: its folder does not exist, or it is a folder itself.
    """
    target = Path(typed)
    if not target.parent.is_dir():
        raise ConfigError(
            f"cannot write {typed}: there is no folder {target.parent}",
            hint=f"mkdir -p {shlex.quote(str(target.parent))}",
        )
    if target.is_dir():
        raise ConfigError(f"cannot write {typed}: it is a folder", hint=f"{typed.rstrip('/')}/FILE")
    return target


def output_folder(typed: str) -> Path:
    """The path of a folder to write into, as typed; it is made where its parent is there.

    Raises:
        ConfigError: its parent does not exist, or it is a file.
        StorageError: it cannot be made.
    """
    target = Path(typed)
    if not target.parent.is_dir():
        raise ConfigError(
            f"cannot write into {typed}: there is no folder {target.parent}",
            hint=f"mkdir -p {shlex.quote(typed)}",
        )
    if target.exists() and not target.is_dir():
        raise ConfigError(f"cannot write into {typed}: it is a file")
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {typed}: {error.strerror}") from error
    return target


def open_in_browser(page: Path) -> None:
    """Open a page in the user's browser; where there is none, print the page's address."""
    import webbrowser

    url = page.resolve().as_uri()
    if not webbrowser.open(url):
        print(f"no browser found; open {url} in one", file=sys.stderr)


def write_page(typed: str, page: str) -> None:
    """Write a page where the user wants it, and say so.

    Raises:
        ConfigError: it cannot be a file there.
        StorageError: it cannot be written.
    """
    from evalharness.store.folder.durable_files import USER_FILE_MODE, write_bytes_durably

    target = output_path(typed)
    write_bytes_durably(target, page.encode("utf-8"), mode=USER_FILE_MODE)
    print(f"written: {target}", file=sys.stderr)
