"""What is recorded already, what the rest may cost, and the question before sending it."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from evalharness.errors import ConfigError
from evalharness.http.loopback import is_this_machine
from evalharness.store.folder.run import Run
from evalharness.store.folder.run_folder import MANIFEST, refuse_lost_manifest
from evalharness.store.journal.batch_files import FOLDER
from evalharness.store.remote.locations import readable_root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalharness.cli.execution.prepare import PreparedRun
    from evalharness.records import Setting


def recorded_trials(prepared: PreparedRun) -> tuple[NDArray[np.bool_], Any]:
    """Which trials are recorded, and the records (columns that outputs are estimated from).

    Raises:
        StorageError: the run has lost its manifest, so that this is not known.
    """
    from evalharness.columnar.arrow_ops import select_schema
    from evalharness.planning.estimate.output_tokens import COLUMNS
    from evalharness.schema import arrow_schema
    from evalharness.store.journal.arrow_buffers import empty_table

    plan = prepared.plan
    root = readable_root(plan.config)
    columns: list[str] = [*COLUMNS]
    if (root / MANIFEST).exists():
        table = Run.open(root).table("records", columns)
    else:
        refuse_lost_manifest(root)
        table = empty_table(select_schema(arrow_schema("records"), columns))
    return plan.done_map(table), table


def waiting_trials(prepared: PreparedRun) -> NDArray[np.bool_]:
    """Which trials are in batches at the provider: they are sent, and not recorded yet."""
    from evalharness.store.journal.waiting import waiting_keys

    root = readable_root(prepared.plan.config)
    if not (root / FOLDER).is_dir():
        import numpy as np

        return np.zeros(len(prepared.plan), np.bool_)
    return prepared.plan.done_map(waiting_keys(root))


def worst_case_usd(prepared: PreparedRun, done: NDArray[np.bool_]) -> Decimal | None:
    """The highest cost of the trials not ``done``, each paid for once.

    What a batch does not answer may be sent as single requests, which cost more
    (``execution.on_expired=live``). None where a price or a bound is missing.
    """
    from evalharness.planning.estimate import remaining_trials, worst_case

    ways = [prepared.price]
    if prepared.in_batches and prepared.plan.config.execution.on_expired == "live":
        ways.append(prepared.live_price)
    remaining = remaining_trials(prepared.plan, done)
    amounts = [worst_case(prepared.plan, remaining, price) for price in ways]
    known = [amount for amount in amounts if amount is not None]
    return max(known) if len(known) == len(amounts) else None


def needs_confirmation(prepared: PreparedRun, *, yes: bool) -> bool:
    """Whether there is a limit, anything that costs money, and a person to ask."""
    limit = prepared.plan.config.limits.confirm_above_usd
    if limit is None or yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return not all(_costs_nothing(prepared, setting) for setting in prepared.plan.settings)


def _costs_nothing(prepared: PreparedRun, setting: Setting) -> bool:
    price = prepared.price(setting)
    return _answered_locally(prepared, setting) if price is None else price.is_free()


def _answered_locally(prepared: PreparedRun, setting: Setting) -> bool:
    """Whether a setting is answered on this machine, which costs nothing."""
    provider = prepared.providers[setting.provider]
    if provider.kind != "remote":
        return True
    return all(map(is_this_machine, provider.base_urls or [provider.base_url or ""]))


def confirm(prepared: PreparedRun, done: NDArray[np.bool_], *, what: str) -> None:
    """Ask whether the trials not ``done`` may be sent, when they may cost more than the limit.

    It also asks when the cost is unknown, unless all requests stay on this machine.

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
    if worst is None and all(
        _answered_locally(prepared, setting) for setting in prepared.plan.settings
    ):
        return
    if worst is not None and worst <= limit:
        return
    print(
        f"{what} sends {to_send:,} requests and may cost {_amount_text(prepared, worst)} "
        f"(limits.confirm_above_usd={limit}). Go on? [y/N] ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    answer = sys.stdin.readline()
    if not answer:
        print(file=sys.stderr)
    if answer.strip().lower() not in ("y", "yes"):
        raise ConfigError("not confirmed; nothing was sent", hint="--yes skips this question")


def _amount_text(prepared: PreparedRun, worst: Decimal | None) -> str:
    if worst is not None:
        from evalharness.report.words.format_numbers import dollars

        return f"up to {dollars(worst)}"
    unpriced = [s.model for s in prepared.plan.settings if prepared.price(s) is None]
    if unpriced:
        batches = " in batches" if prepared.in_batches else ""
        return f"an unknown amount: no price for {unpriced[0]}{batches}"
    return "an unknown amount: without params.max_tokens nothing bounds an answer"
