"""Opens the link in a browser without its token in the list of processes."""

from __future__ import annotations

import html
import shutil
import tempfile
import threading
import webbrowser
from pathlib import Path

_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={link}">
<title>evalharness view</title>
<p><a href="{link}">evalharness view</a></p>
"""


class LinkOpener:
    """Opens a link; :meth:`close` removes the file that leads there.

    Every user of the machine can read the arguments of the browser's command. So where the link has
    a token, the browser gets a file that this user alone can read.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    def open(self, link: str, *, is_secret: bool) -> None:
        """Open a link; a browser that runs in the terminal keeps nobody waiting.

        Args:
            link: the address.
            is_secret: whether nobody else may read it.
        """
        address = self._write(link).as_uri() if is_secret else link
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    def close(self) -> None:
        """Remove the file; without one, nothing is done."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, link: str) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="evalharness-open-"))  # for this user alone
        path = self._folder / "open.html"
        path.touch(0o600, exist_ok=False)
        path.write_text(_PAGE.format(link=html.escape(link)), "utf-8")
        return path
