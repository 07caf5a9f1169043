"""What is recorded already, what the rest may cost, and the question before a dear command."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.errors import ConfigError
from evalharness.store.folder import MANIFEST
from evalharness.store.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.commands.run import Prepared


def recorded(prepared: Prepared) -> tuple[NDArray[np.bool_], Any]:
    """Which trials are recorded, and the records (columns that outputs are estimated from)."""
    from evalharness.arrow import only
    from evalharness.estimate.outputs import COLUMNS
    from evalharness.schema import arrow_schema
    from evalharness.store.buffers import empty

    plan = prepared.plan
    root = Path(plan.config.results_dir) / plan.config.name
    columns: list[str] = [*COLUMNS]
    if (root / MANIFEST).exists():
        table = Run.open(root).table("records", columns)
    else:
        table = empty(only(arrow_schema("records"), columns))
    return plan.done_map(table), table


def worst_case_usd(prepared: Prepared, done: NDArray[np.bool_]) -> Decimal | None:
    """The most that the trials not ``done`` can cost, each sent once.

    None where a price or a bound is missing.
    """
    from evalharness.estimate import left, worst_case

    return worst_case(prepared.plan, left(prepared.plan, done), prepared.price)


def asks(prepared: Prepared, *, yes: bool) -> bool:
    """Whether there is a limit to ask above, and a person at a terminal to ask."""
    limit = prepared.plan.config.limits.confirm_above_usd
    return limit is not None and not yes and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(prepared: Prepared, done: NDArray[np.bool_], *, what: str) -> None:
    """Ask whether the trials not ``done`` may be sent, when they may cost more than the limit.

    Args:
        prepared: what is to be sent.
        done: the trials that are not to be sent.
        what: the command, as a subject: ``This run``.

    Raises:
        ConfigError: the answer was no, or there was none.
    """
    limit = prepared.plan.config.limits.confirm_above_usd
    to_send = int((~done).sum())
    if limit is None or not to_send:
        return
    worst = worst_case_usd(prepared, done)
    if worst is not None and worst <= limit:
        return
    print(
        f"{what} sends {to_send:,} requests and may cost {_amount(prepared, worst)}, more than "
        f"limits.confirm_above_usd={limit}. Go on? [y/N] ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    answer = sys.stdin.readline()
    if not answer:
        print(file=sys.stderr)
    if answer.strip().lower() not in ("y", "yes"):
        raise ConfigError("not confirmed; nothing was sent", hint="--yes skips this question")


def _amount(prepared: Prepared, worst: Decimal | None) -> str:
    if worst is not None:
        return f"up to ${worst:,.2f}" if worst >= 1 else f"up to ${worst:.4f}"
    unpriced = [s.model for s in prepared.plan.settings if prepared.price(s) is None]
    if unpriced:
        return f"an unknown amount (no price for {unpriced[0]})"
    return "an unknown amount (without params.max_tokens nothing bounds an answer)"
