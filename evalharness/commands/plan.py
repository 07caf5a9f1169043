"""``evalharness plan``: the same configuration, zero requests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from evalharness.app import Job, Result
from evalharness.commands.run import Prepared, prepare
from evalharness.errors import EXIT_OK
from evalharness.store.folder import MANIFEST
from evalharness.store.run import Run


def plan_command(*, as_json: bool) -> Callable[[list[Job]], Result]:
    """The function Hydra's composed jobs are handed to."""

    def execute(jobs: list[Job]) -> Result:
        prepared = prepare([job.config for job in jobs])
        facts = describe(prepared)
        if as_json:
            from evalharness.report.json import as_json_text

            sys.stdout.write(as_json_text(facts))
        else:
            for line in lines(facts):
                print(line)
        return Result(EXIT_OK)

    return execute


def describe(prepared: Prepared) -> dict[str, Any]:
    """What a run would send: settings, trials, what is recorded already, the dollar range."""
    plan = prepared.plan
    config = plan.config
    recorded = _recorded(prepared)
    left = len(plan) - recorded
    return {
        "name": config.name,
        "prompts": len(plan.prompts),
        "settings": [s.label for s in plan.settings],
        "repeats": plan.repeats,
        "trials": len(plan),
        "recorded": recorded,
        "to_send": left,
        "concurrency": config.limits.concurrency,
        "rpm": config.limits.rpm,
        "cost_usd": _cost_range(prepared, left),
        "least_minutes_at_rpm": None if config.limits.rpm is None else left / config.limits.rpm,
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """The facts for a person."""
    settings: list[str] = facts["settings"]
    shown = [f"  {label}" for label in settings[:20]]
    if len(settings) > 20:
        shown.append(f"  … and {len(settings) - 20} more")
    out = [
        f"{facts['name']}: {facts['prompts']} prompts × {len(settings)} settings × "
        f"{facts['repeats']} repeats = {facts['trials']} trials",
        *shown,
        f"recorded already: {facts['recorded']} · to send: {facts['to_send']}",
        f"cost: {_money(facts['cost_usd'])}",
    ]
    if facts["least_minutes_at_rpm"] is not None:
        out.append(
            f"at least {facts['least_minutes_at_rpm']:.1f} min at limits.rpm={facts['rpm']:g}"
        )
    return [*out, "nothing was sent; evalharness run sends it"]


def _money(cost: dict[str, Any] | None) -> str:
    if cost is None:
        return "unknown (no price for some model; add one with pricing.files=[…])"
    if cost["most"] == 0:
        return "$0 (free)"
    return f"${cost['least']:.4f} to at most ${cost['most']:.4f}"


def _recorded(prepared: Prepared) -> int:
    plan = prepared.plan
    root = Path(plan.config.results_dir) / plan.config.name
    if not (root / MANIFEST).exists():
        return 0
    table = Run.open(root).table("records", ["prompt_id", "setting_id", "repeat"])
    return int(plan.done_map(table).sum())


def worst_case_usd(prepared: Prepared) -> Decimal | None:
    """The most the whole plan can cost; None where a price or a bound is missing."""
    plan = prepared.plan
    total = Decimal(0)
    for setting in plan.settings:
        price = prepared.price(setting)
        if price is None:
            return None
        for prompt in plan.prompts:
            params = {**setting.params, **prompt.params}
            length = len(plan.renderer(setting).messages(prompt).__repr__().encode())
            worst = price.worst_case(length, params.get("max_tokens"), params.get("n") or 1)
            if worst is None:
                return None
            total += worst * plan.repeats
    return total


def _cost_range(prepared: Prepared, left: int) -> dict[str, float] | None:
    """From every answer empty to every answer of full length, for what is left to send."""
    most = worst_case_usd(prepared)
    if most is None or not len(prepared.plan):
        return None
    return {"least": 0.0, "most": float(most * left / len(prepared.plan))}
