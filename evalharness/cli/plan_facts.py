"""What a run would send, take and cost, as ``plan --json`` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evalharness.cli.execution.cost_prompt import (
    recorded_trials,
    waiting_trials,
    worst_case_usd,
)
from evalharness.cli.execution.prepare import PreparedRun
from evalharness.cli.plan_batch import batch_facts
from evalharness.store.folder.run import Run
from evalharness.store.remote.locations import results_root

if TYPE_CHECKING:
    from evalharness.analysis.comparison.power import DetectionPlan
    from evalharness.analysis.equality.plan import EqualityPlan


def plan_facts(prepared: PreparedRun) -> dict[str, Any]:
    """What a run would send: settings, trials, what is recorded already, tokens, dollars, time."""
    from evalharness.planning.estimate import estimate_plan
    from evalharness.planning.estimate.history import read_model_histories
    from evalharness.planning.estimate.output_tokens import recorded_output_tokens

    plan, config = prepared.plan, prepared.plan.config
    recorded, records = recorded_trials(prepared)
    waiting = waiting_trials(prepared) & ~recorded
    done = recorded | waiting
    models = dict.fromkeys((s.provider, s.model) for s in plan.settings)
    histories, unreadable = read_model_histories(
        results_root(config.results_dir, config.staging_dir), models, first=[config.name]
    )
    result = estimate_plan(
        plan,
        done,
        prepared.price,
        histories,
        recorded_output_tokens(plan, records),
        max_in_flight=_max_in_flight(prepared),
        batch_price=prepared.batch_price,
    )
    facts = msgspec.to_builtins(result)
    cost, worst = facts.pop("cost_usd"), worst_case_usd(prepared, done)
    in_batches, batch = facts.pop("batch_cost_usd"), batch_facts(prepared, done)
    if plan.conversations.exist:  # whose turns cannot be sent all at once
        batch = None
    return {
        "name": config.name,
        "prompts": len(plan.prompts),
        "conversations": sum(prompt.turn == 1 for prompt in plan.prompts),
        "turns": sum(prompt.turn is not None for prompt in plan.prompts),
        "settings": [s.label for s in plan.settings],
        "repeats": plan.repeats,
        "trials": len(plan),
        "recorded": int(recorded.sum()),
        "waiting": int(waiting.sum()),
        "to_send": facts.pop("to_send"),
        "concurrency": config.limits.concurrency,
        "rpm": config.limits.rpm,
        "tpm": config.limits.tpm,
        "cost_usd": _cost_range(cost),
        "worst_case_usd": None if worst is None else float(worst),
        "by_setting": facts.pop("settings"),
        "load_points": load_point_facts(prepared),
        "replay": None if plan.replay is None else msgspec.to_builtins(plan.replay),
        "batch": None if batch is None else {**batch, "cost_usd": _cost_range(in_batches)},
        **facts,
        "unpriced": [
            {"provider": p, "model": m, "add": prepared.missing_price_hint(p, m)}
            for p, m in result.unpriced
        ],
        "unreadable_runs": unreadable,
        "left_out": [
            {"prompt_id": row.prompt.prompt_id, "reason": row.reason} for row in plan.left_out
        ],
    }


def _cost_range(cost: dict[str, Any] | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {"least": cost["low"], "expected": cost["expected"], "most": cost["high"]}


def _max_in_flight(prepared: PreparedRun) -> int:
    """Requests in flight at most: the limit, and what local models serve together."""
    limit = prepared.plan.config.limits.concurrency
    used = [prepared.providers[name] for name in {s.provider for s in prepared.plan.settings}]
    if used and all(provider.kind == "local" for provider in used):
        return min(limit, sum(provider.parallel for provider in used))
    return limit


def detection_facts(
    prepared: PreparedRun, facts: dict[str, Any], difference: str, from_run: str | None
) -> DetectionPlan:
    """What it takes to see a difference in score between two settings of this plan.

    Raises:
        ConfigError: ``difference`` is none, or the run has no scores with repeats.
    """
    from evalharness.analysis.comparison.power import parse_difference, plan_detection

    wanted = parse_difference(difference)
    pilot = None
    if from_run is not None:
        from evalharness.report.build.open_run import open_run

        pilot = open_run(Run.open(from_run)).frame
    return plan_detection(
        wanted,
        pilot=pilot,
        pilot_name=f"run `{from_run}`",
        cost_per_trial_usd=_cost_per_trial(facts),
        prompts=len(prepared.plan.prompts),
    )


def equality_facts(
    prepared: PreparedRun, facts: dict[str, Any], share: str, from_run: str | None
) -> EqualityPlan:
    """What it takes to find a share of outputs from elsewhere by the model equality test.

    Raises:
        ConfigError: ``share`` is none, or the run has no four repeats.
    """
    from evalharness.analysis.equality.plan import parse_share, plan_equality

    wanted, pilot = parse_share(share), None
    if from_run is not None:
        from evalharness.report.build.open_run import open_run

        pilot = open_run(Run.open(from_run)).frame
    return plan_equality(
        wanted,
        prompts=len(prepared.plan.prompts),
        pilot=pilot,
        pilot_name=f"run `{from_run}`",
        cost_per_trial_usd=_cost_per_trial(facts),
    )


def _cost_per_trial(facts: dict[str, Any]) -> float | None:
    """Expected cost of a trial that is to be sent, US dollars; None is unknown."""
    cost = facts["cost_usd"]
    expected = None if cost is None else cost["expected"]
    return expected / facts["to_send"] if expected is not None and facts["to_send"] else None


def load_point_facts(prepared: PreparedRun) -> list[dict[str, Any]]:
    """What a benchmark would measure; empty in batch evaluation.

    Each has ``load``, ``settings`` (labels), ``requests`` and ``seconds`` (null where only the
    measurement tells; of a search those of one step).
    """
    from evalharness.planning.load_points import (
        expected_requests,
        expected_seconds,
        group_by_load_point,
        load_from_identity,
    )
    from evalharness.planning.replay_extent import replay_extent

    plan, config = prepared.plan, prepared.plan.config
    points: list[dict[str, Any]] = []
    for settings in group_by_load_point(plan.settings) if config.load is not None else []:
        assert config.load is not None
        load = load_from_identity(settings[0].load, config.load)
        cells, turns = plan.cells(settings), plan.turns_per_session
        requests = expected_requests(load, cells=cells, repeats=config.repeats, turns=turns)
        seconds = expected_seconds(load, requests, turns)
        if (extent := replay_extent(plan, load)) is not None:
            requests, seconds = extent
        points.append(
            {
                "load": settings[0].load,
                "settings": [s.label for s in settings],
                "requests": requests,
                "seconds": seconds,
            }
        )
    return points
