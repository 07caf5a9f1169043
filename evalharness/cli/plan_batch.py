"""What a plan would cost in batches, and how long it may take, as ``plan`` says it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evalharness.batch.checks import check_batch_run, check_unstreamed
from evalharness.cli.execution.prepare import PreparedRun
from evalharness.config.models import ProviderConfig
from evalharness.errors import ConfigError
from evalharness.process.text import plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of Anthropic's form, which takes no window: a batch that is not done by then expires.
_ANTHROPIC_WINDOW = "24h"


def batch_facts(prepared: PreparedRun, done: NDArray[np.bool_]) -> dict[str, Any] | None:
    """What is known of this plan in batches; None where a provider of it has no batch endpoint.

    ``chosen`` is whether it is sent so; ``problem`` why it cannot be as it is configured, else
    None; ``windows`` are the times within which the providers promise answers (``24h``);
    ``unpriced`` are models without a batch price; ``files`` has the files of requests, None where
    batches are not chosen, and ``max_at_once`` how many of them may be under way.
    """
    plan, config = prepared.plan, prepared.plan.config
    used = {s.provider: prepared.providers[s.provider] for s in plan.settings}
    try:
        check_batch_run(config, used)
    except ConfigError:
        return None
    return {
        "chosen": prepared.in_batches,
        "problem": _problem(prepared),
        "windows": list(dict.fromkeys(_window(provider) for provider in used.values())),
        "unpriced": _unpriced(prepared),
        "files": _files(prepared, used, done) if prepared.in_batches else None,
        "max_at_once": config.execution.max_batches,
        "on_expired": config.execution.on_expired,
    }


def _problem(prepared: PreparedRun) -> str | None:
    try:
        check_unstreamed(prepared.plan)
    except ConfigError as error:
        return error.message
    return None


def _window(provider: ProviderConfig) -> str:
    rules = provider.profile.batch
    assert rules is not None  # see check_batch_run
    if rules.form_for(provider.protocol) == "anthropic":
        return _ANTHROPIC_WINDOW
    return rules.completion_window


def _unpriced(prepared: PreparedRun) -> list[dict[str, str]]:
    missing = dict.fromkeys(
        (s.provider, s.model) for s in prepared.plan.settings if prepared.batch_price(s) is None
    )
    return [
        {"provider": p, "model": m, "add": prepared.book.missing_hint(p, m, in_batch=True)}
        for p, m in missing
    ]


def _files(
    prepared: PreparedRun, used: dict[str, ProviderConfig], done: NDArray[np.bool_]
) -> dict[str, Any]:
    import msgspec

    from evalharness.batch.file_counts import count_files
    from evalharness.planning.estimate import remaining_trials

    remaining = remaining_trials(prepared.plan, done)
    return msgspec.to_builtins(count_files(prepared.plan, used, remaining))


def chosen_lines(batch: dict[str, Any]) -> list[str]:
    """How long batches may take, and their files; for a plan that is sent in batches."""
    files = batch["files"]
    size = f"{files['bytes'] / 1e6:,.1f} MB" if files["bytes"] >= 100_000 else "below 0.1 MB"
    least = "" if files["is_exact"] else "at least "
    more = f", {batch['max_at_once']} at once" if files["files"] > batch["max_at_once"] else ""
    again = "in another batch"
    if batch["on_expired"] == "live":
        again = "one by one, at the price of single requests"
    return [
        f"time: {_within(batch)} for each batch, as the provider says; what is not answered by "
        f"then is asked again {again}",
        f"batches: {least}{plural(files['files'], 'file')} with "
        f"{plural(files['requests'], 'request')}, {size}{more}",
    ]


def offer_line(batch: dict[str, Any], cost: str) -> str:
    """What a plan of single requests would cost in batches."""
    if batch["problem"] is not None:
        return f"in batches (execution=batch): not as configured, {batch['problem']}"
    if batch["unpriced"]:
        first = batch["unpriced"][0]
        cost = f"unknown, no price of {first['model']} in batches ({first['add']})"
    return f"in batches (execution=batch): {cost}; {_within(batch)}"


def _within(batch: dict[str, Any]) -> str:
    windows = [re.sub(r"(?<=\d)(?=[a-z])", " ", window) for window in batch["windows"]]
    return f"up to {' or '.join(windows)}"
