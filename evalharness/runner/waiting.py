"""Waiting is visible: what everything waits for, and how long still."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from evalharness.progress import Progress
from evalharness.throttle.gate import Gate

_EVERY_S = 1.0


async def report_waiting(gates: Sequence[Gate], progress: Progress) -> NoReturn:
    """Tell, once a second, what requests wait for; cancel it to end it."""
    while True:
        await asyncio.sleep(_EVERY_S)
        reasons = [text for gate in gates if (text := _wait_text(gate))]
        progress.waiting("; ".join(reasons) or None)


def _wait_text(gate: Gate) -> str | None:
    state = gate.waiting()
    if state is None or state.reason == "a free slot":
        return None
    left = "" if state.seconds_left is None else f", {state.seconds_left:.0f} s left"
    return f"waiting for {gate.name}: {state.reason}{left}"
