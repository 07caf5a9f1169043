"""An emulator that bills by known prices, and the ledger of what it billed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The emulator's own prices, so that what is computed is what it bills.
EMULATOR_PRICE = (
    'pricing.prices=[{provider: emulator, model: "*", '
    "price_usd_per_mtok: {prompt: 0.4, cached: 0.16, completion: 1.2, reasoning: 4}}]"
)


@contextlib.contextmanager
def emulator(*arguments: str) -> Iterator[str]:
    """An emulator on a free port for the length of the block; gives its base URL."""
    command = [sys.executable, "-m", "evalharness.emulator", "--exit-with-parent"]
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.stdin.close()
            process.wait(30)


def ledger(path: Path) -> list[dict[str, Any]]:
    """What the emulator really served and billed."""
    return [json.loads(line) for line in path.read_text().splitlines()]
