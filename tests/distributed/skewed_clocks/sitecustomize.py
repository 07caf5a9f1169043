"""Gives every worker of a Ray clocks of its own, seconds ahead of or behind the machine's."""

from __future__ import annotations

import os
import time
from pathlib import Path

if b"default_worker.py" in Path("/proc/self/cmdline").read_bytes():
    skew_s = 2.0 + os.getpid() % 5
    time_ns, monotonic = time.time_ns, time.monotonic
    time.time_ns = lambda: time_ns() + round(skew_s * 1e9)
    time.monotonic = lambda: monotonic() - 100.0 * skew_s
