"""``evalharness plan``: what a run would send, take and cost; only ``--pilot`` sends anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalharness.cli.execution.prepare import Prepared

import shlex
import sys
from collections.abc import Sequence

import msgspec

from evalharness.cli.compose import Job, Result
from evalharness.cli.execution.cost_prompt import recorded, worst_case_usd
from evalharness.cli.execution.event_loop import run_on_loop
from evalharness.cli.execution.pilot import send_pilot
from evalharness.cli.execution.prepare import Prepared, prepare
from evalharness.cli.execution.run_summary import with_new_limit
from evalharness.errors import EXIT_BUDGET, EXIT_OK, ConfigError
from evalharness.process.text import plural
from evalharness.store.folder.run import Run
from evalharness.store.remote.locations import results_root

_SHOWN_SETTINGS = 20


def plan_command(
    arguments: Sequence[str] = (),
    *,
    as_json: bool,
    pilot: int | None = None,
    detect: str | None = None,
    from_run: str | None = None,
    yes: bool = False,
) -> Callable[[list[Job]], Result]:
    """The function Hydra's composed jobs are handed to.

    Args:
        arguments: the overrides as typed, for the commands that go on.
        as_json: print JSON instead of text.
        pilot: trials to send (and record) under each setting first; None sends nothing.
        detect: a difference as ``2pp``; says what it takes to see it.
        from_run: the scored run that planning for ``detect`` rests on; None assumes.
        yes: a dear pilot is sent without asking.
    """

    def execute(jobs: list[Job]) -> Result:
        prepared = prepare([job.config for job in jobs], sends=pilot is not None)
        exit_code, onward = EXIT_OK, list(arguments)
        if pilot is not None and prepared.plan.config.load is not None:
            raise ConfigError("--pilot sends no load points", hint="--pilot … load=none")
        if pilot is not None:
            stop = run_on_loop(send_pilot(jobs, prepared, pilot, yes=yes))
            exit_code = EXIT_OK if stop is None else stop.exit_code
            if exit_code == EXIT_BUDGET:
                onward = with_new_limit(arguments)
            if stop is not None:
                typed = ["--pilot", str(pilot), *(["--yes"] if yes else []), *onward]
                again = shlex.join(["evalharness", "plan", *typed])
                print(f"to go on with the pilot: {again}", file=sys.stderr)
        facts = describe(prepared)
        if detect is not None:
            facts["detect"] = detection(prepared, facts, detect, from_run)
        if as_json:
            from evalharness.report.build.json import as_json_text

            sys.stdout.write(as_json_text(facts))
        else:
            for line in lines(facts, onward, piloted=pilot is not None):
                print(line)
        return Result(exit_code)

    return execute


def describe(prepared: Prepared) -> dict[str, Any]:
    """What a run would send: settings, trials, what is recorded already, tokens, dollars, time."""
    from evalharness.planning.estimate import estimate
    from evalharness.planning.estimate.history import read_models
    from evalharness.planning.estimate.output_tokens import recorded_outputs

    plan, config = prepared.plan, prepared.plan.config
    done, records = recorded(prepared)
    models = dict.fromkeys((s.provider, s.model) for s in plan.settings)
    known, unreadable = read_models(
        results_root(config.results_dir, config.staging_dir), models, first=[config.name]
    )
    found = estimate(
        plan,
        done,
        prepared.price,
        known,
        recorded_outputs(plan, records),
        at_once=_at_once(prepared),
    )
    facts = msgspec.to_builtins(found)
    cost, worst = facts.pop("cost_usd"), worst_case_usd(prepared, done)
    return {
        "name": config.name,
        "prompts": len(plan.prompts),
        "settings": [s.label for s in plan.settings],
        "repeats": plan.repeats,
        "trials": len(plan),
        "recorded": len(plan) - found.to_send,
        "to_send": facts.pop("to_send"),
        "concurrency": config.limits.concurrency,
        "rpm": config.limits.rpm,
        "tpm": config.limits.tpm,
        "cost_usd": None
        if cost is None
        else {"least": cost["low"], "expected": cost["expected"], "most": cost["high"]},
        "worst_case_usd": None if worst is None else float(worst),
        "by_setting": facts.pop("settings"),
        "load_points": load_points_of(prepared),
        **facts,
        "unpriced": [
            {"provider": p, "model": m, "add": prepared.book.missing_hint(p, m)}
            for p, m in found.unpriced
        ],
        "unreadable_runs": unreadable,
    }


def _at_once(prepared: Prepared) -> int:
    """Requests in flight at most: the limit, and what local models serve together."""
    limit = prepared.plan.config.limits.concurrency
    used = [prepared.providers[name] for name in {s.provider for s in prepared.plan.settings}]
    if used and all(provider.kind == "local" for provider in used):
        return min(limit, sum(provider.parallel for provider in used))
    return limit


def detection(
    prepared: Prepared, facts: dict[str, Any], difference: str, from_run: str | None
) -> dict[str, Any]:
    """What it takes to see a difference in score between two settings of this plan.

    Raises:
        ConfigError: ``difference`` is none, or the run has no scores with repeats.
    """
    from evalharness.analysis.comparison.power import parse_difference, plan_detection

    wanted = parse_difference(difference)
    pilot = None
    if from_run is not None:
        from evalharness.report.build.open_run import gather

        pilot = gather(Run.open(from_run)).frame
    cost = facts["cost_usd"]
    expected = None if cost is None else cost["expected"]
    each = expected / facts["to_send"] if expected is not None and facts["to_send"] else None
    return plan_detection(
        wanted,
        pilot=pilot,
        pilot_name=f"run `{from_run}`",
        cost_per_trial_usd=each,
        prompts=len(prepared.plan.prompts),
    )


# ── for a person ─────────────────────────────────────────────────────────────────────────────────


def lines(facts: dict[str, Any], arguments: Sequence[str], *, piloted: bool = False) -> list[str]:
    """The facts for a person, and last the command that goes on; after a pilot none is offered."""
    run = shlex.join(["evalharness", "run", *arguments])
    settings: list[str] = facts["settings"]
    shown = [f"  {label}" for label in settings[:_SHOWN_SETTINGS]]
    if len(settings) > _SHOWN_SETTINGS:
        shown.append(f"  … and {len(settings) - _SHOWN_SETTINGS} more")
    if facts["load_points"]:
        return [*_load_lines(facts), f"to measure what is left: {run}"]
    out = [
        f"{facts['name']}: {plural(facts['prompts'], 'prompt')} × "
        f"{plural(len(settings), 'setting')} × {plural(facts['repeats'], 'repeat')} = "
        f"{plural(facts['trials'], 'trial')}",
        *shown,
        f"recorded already, and free: {facts['recorded']} · to send: {facts['to_send']}",
    ]
    if facts["to_send"]:
        out += [_tokens_line(facts), f"cost: {_cost_text(facts)}", f"time: {_time_text(facts)}"]
    out += [
        f"no price for {entry['model']} at {entry['provider']}; to be added to a file for "
        f"pricing.files=[FILE], or as pricing.prices=[…]: {entry['add']}"
        for entry in facts["unpriced"]
    ]
    out += [f"run `{name}` cannot be read and was left out" for name in facts["unreadable_runs"]]
    if "detect" in facts:
        out += facts["detect"]["lines"]
    guessed = any(not s["extrapolated"] and s["to_send"] for s in facts["by_setting"])
    if guessed and facts["to_send"] and not piloted:
        pilot = shlex.join(["evalharness", "plan", "--pilot", "5", *arguments])
        out.append(f"a few trials first narrow this down: {pilot}")
    if not facts["to_send"]:
        return [*out, "nothing is left to send"]
    return [*out, f"to send what is left: {run}"]


def _load_lines(facts: dict[str, Any]) -> list[str]:
    """A benchmark for a person: its load points, and what they cost at most."""
    points: list[dict[str, Any]] = facts["load_points"]
    out = [
        f"{facts['name']}: {plural(facts['prompts'], 'prompt')}, load points one after the other:"
    ]
    out += [point_line(point, _span) for point in points[:_SHOWN_SETTINGS]]
    if len(points) > _SHOWN_SETTINGS:
        out.append(f"  … and {len(points) - _SHOWN_SETTINGS} more")
    known = all(p["requests"] is not None and "search" not in p["load"] for p in points)
    if known:
        out += [_tokens_line(facts), f"cost, at most: {_cost_text(facts)}"]
    else:
        out.append("tokens and cost are not known before: limits.max_cost_usd bounds them")
    return out


def _tokens_line(facts: dict[str, Any]) -> str:
    bases = {
        "recorded": "these prompts were counted before",
        "fitted": "from tokens a character in recorded runs, 95 % interval",
        "length": "guessed from their length, right within a factor of 2",
    }
    found = " · ".join(dict.fromkeys(bases[model["basis"]] for model in facts["models"]))
    seen = sum(setting["observed"] for setting in facts["by_setting"])
    every = all(s["extrapolated"] for s in facts["by_setting"] if s["to_send"])
    answers = (
        f"from {seen} recorded answers, 95 % interval"
        if every
        else "0 to max_tokens where no answers are recorded"
    )
    return (
        f"prompt tokens: {_range(facts['prompt_tokens'])} ({found})\n"
        f"completion tokens: {_range(facts['completion_tokens'])} ({answers})"
    )


def _range(found: dict[str, Any]) -> str:
    low, expected, high = found["low"], found["expected"], found["high"]
    top = "no bound (set params.max_tokens)" if high is None else f"{high:,.0f}"
    if expected is None:
        return f"{low:,.0f} to {top}"
    if high is not None and round(low) == round(high):
        return f"{expected:,.0f}"
    return f"about {expected:,.0f}, {low:,.0f} to {top}"


def _cost_text(facts: dict[str, Any]) -> str:
    from evalharness.report.words.format_numbers import dollars

    cost = facts["cost_usd"]
    if cost is None:
        return "unknown, a price is missing"
    if cost["most"] == 0:
        return "$0 (free)"
    top = "no bound (set params.max_tokens)" if cost["most"] is None else dollars(cost["most"])
    about = "" if cost["expected"] is None else f"about {dollars(cost['expected'])}, "
    worst = facts["worst_case_usd"]
    more = "" if worst is None else f"; never above {dollars(worst)} without retries"
    return f"{about}{dollars(cost['least'])} to {top}{more}"


def _time_text(facts: dict[str, Any]) -> str:
    found = facts["time_s"]
    if found["expected"] is None:
        return "unknown (no recorded run of this model, and neither limits.rpm nor limits.tpm)"
    named = {"concurrency": f"limits.concurrency={facts['concurrency']} at the recorded latency"}
    limit = found["limited_by"]
    by = named.get(limit) or f"limits.{limit}={facts[limit]:g}"
    if found["at_concurrency"] is None:
        return f"at least {_span(found['expected'])} ({by}; no recorded latency of this model)"
    return f"about {_span(found['expected'])} ({by})"


def _span(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def load_points_of(prepared: Prepared) -> list[dict[str, Any]]:
    """What a benchmark would measure; empty in batch evaluation.

    Each has ``load``, ``settings`` (labels), ``requests`` and ``seconds`` (null where only the
    measurement tells; of a search those of one step).
    """
    from evalharness.planning.load_points import (
        expected_requests,
        expected_seconds,
        load_of,
        load_points,
    )

    plan, config = prepared.plan, prepared.plan.config
    found: list[dict[str, Any]] = []
    for settings in load_points(plan.settings) if config.load is not None else []:
        assert config.load is not None
        load = load_of(settings[0].load, config.load)
        cells = len(plan.prompts) * len(settings)
        requests = expected_requests(load, cells=cells, repeats=config.repeats)
        found.append(
            {
                "load": settings[0].load,
                "settings": [s.label for s in settings],
                "requests": requests,
                "seconds": expected_seconds(load, requests),
            }
        )
    return found


def point_line(point: dict[str, Any], span: Callable[[float], str]) -> str:
    """A load point on one line; ``span`` words seconds."""
    load: dict[str, Any] = dict(point["load"])
    search = load.pop("search", None)
    shown = ", ".join(f"{key}={value}" for key, value in load.items() if key != "slo")
    known = point["requests"] is not None
    count = f"about {point['requests']} requests" if known else "as many requests as fit"
    lasts = "" if point["seconds"] is None else f" in {span(point['seconds'])}"
    steps = "" if search is None else f", up to {search.get('max_points', 16)} such steps"
    return f"  {shown}: {count}{lasts}{steps}"
