"""Vega in a process of its own: it starts while records are read, and draws all plots of a page.

A process, because vl-convert keeps Python's global lock from beginning to end of a call: half a
second to start the engine, and most of a second for the plots of a page.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from evalharness.config.secret_scan import environment_without_secrets
from evalharness.errors import ProcessLostError

#: Scripts that the font within vl-convert does not know: it has Latin, Greek and Cyrillic.
OTHER_SCRIPTS = re.compile("[\u0530-\u1dff\u2c00-\U0010ffff]")


class Engine:
    """The process, started at once; it is of use for one page.

    Texts are measured with the font that vl-convert holds. A font of the machine is opened anew
    for every letter of every text, two thirds of the time of a plot; so these are for scripts that
    no other font has, and then it is another process that draws.
    """

    def __init__(self) -> None:
        self._process = _started(machine_fonts=False)

    def draw(self, specs: Sequence[dict[str, Any]]) -> list[str]:
        """Draw Vega-Lite specifications, in their order, and end.

        Raises:
            ProcessLostError: the process was lost.
            ValueError: a specification is not valid Vega-Lite.
        """
        asked = json.dumps(specs, ensure_ascii=False)
        if OTHER_SCRIPTS.search(asked):
            self.close()
            self._process = _started(machine_fonts=True)
        drawn, said = self._process.communicate(asked.encode(errors="replace"))
        status = self._process.returncode
        if status < 0:
            raise ProcessLostError(
                f"the process that draws plots was lost ({signal.Signals(-status).name})",
                hint="nothing of the run is; with memory to spare `evalharness report RUN --html` "
                "makes the page",
            )
        if status:
            reason = said.decode(errors="replace").strip()
            raise ValueError(f"Vega ended with {status}: {reason}")
        return json.loads(drawn)

    def close(self) -> None:
        """End a process that is not needed; nothing where it has drawn."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def _started(*, machine_fonts: bool) -> subprocess.Popen[bytes]:
    here = files("evalharness.report.html")
    fonts = {} if machine_fonts else {"FONTCONFIG_FILE": str(here / "fonts.conf")}
    return subprocess.Popen(  # noqa: S603 — our own program
        [sys.executable, "-P", str(here / "vega.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment_without_secrets(), **fonts},
        process_group=0,  # Ctrl-C is for the command, which ends this one where it stops itself
    )
