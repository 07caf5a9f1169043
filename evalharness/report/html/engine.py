"""The process that draws plots with Vega: started while records are read, for one page.

It is a process, because vl-convert holds Python's global lock during a whole call: half a second
to start the engine, and most of a second for the plots of a page.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Literal

from evalharness.errors import ProcessLostError
from evalharness.process.environment import environment_without_secrets

DrawingFormat = Literal["svg", "png"]

#: Letters that the font built into vl-convert lacks: it has Latin, Greek and Cyrillic.
OTHER_SCRIPTS = re.compile("[\u0530-\u1dff\u2c00-\U0010ffff]")


class Engine:
    """The drawing process, started at once, for the plots of one page.

    Texts are measured with the font built into vl-convert. A font of the machine is opened anew
    for every letter, which takes two thirds of the time of a plot. Only texts with letters of
    other scripts need such fonts; another process with access to them then draws.
    """

    def __init__(self) -> None:
        self._process = _start_process(machine_fonts=False)

    def draw(
        self, specs: Sequence[dict[str, Any]], forms: Sequence[DrawingFormat] = ("svg",)
    ) -> list[str]:
        """Draw Vega-Lite specifications, in their order, and end the process.

        Args:
            specs: with their data.
            forms: each specification is drawn as each of them: SVG, or PNG in base64.

        Raises:
            ProcessLostError: the process was lost.
            ValueError: a specification is not valid Vega-Lite.
        """
        specs_json = json.dumps(
            [[spec, form] for spec in specs for form in forms], ensure_ascii=False
        )
        if OTHER_SCRIPTS.search(specs_json):
            self.close()
            self._process = _start_process(machine_fonts=True)
        plots, stderr = self._process.communicate(specs_json.encode(errors="replace"))
        status = self._process.returncode
        if status < 0:
            raise ProcessLostError(
                f"the process that draws plots was lost ({signal.Signals(-status).name})",
                hint="nothing of the run is; with memory to spare evalharness report, with its "
                "name and --html, makes the page",
            )
        if status:
            reason = stderr.decode(errors="replace").strip()
            raise ValueError(f"Vega ended with {status}: {reason}")
        return json.loads(plots)

    def close(self) -> None:
        """End the process if it has not drawn."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def _start_process(*, machine_fonts: bool) -> subprocess.Popen[bytes]:
    package = files("evalharness.report.html")
    fonts = {} if machine_fonts else {"FONTCONFIG_FILE": str(package / "fonts.conf")}
    return subprocess.Popen(  # noqa: S603 — our own program
        [sys.executable, "-P", str(package / "vega.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment_without_secrets(), **fonts},
        process_group=0,  # Ctrl-C is for the command, which ends this one where it stops itself
    )
