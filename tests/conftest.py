"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# The parent of a worker process has these from readline; what commands print here is for no
# terminal.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# A slow moment of the machine is no failure of the code.
settings.register_profile("evalharness", deadline=None)
settings.load_profile("evalharness")
