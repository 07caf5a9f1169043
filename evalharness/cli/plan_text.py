"""The facts of ``evalharness plan`` as lines of text for a person."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from evalharness.cli.plan_batch import chosen_lines, offer_line
from evalharness.process.text import plural

_MAX_SHOWN = 20


def plan_lines(
    facts: dict[str, Any], arguments: Sequence[str], *, piloted: bool = False
) -> list[str]:
    """The facts for a person, and last the command that goes on; after a pilot none is offered."""
    run = shlex.join(["evalharness", "run", *arguments])
    settings: list[str] = facts["settings"]
    shown = [f"  {label}" for label in settings[:_MAX_SHOWN]]
    if len(settings) > _MAX_SHOWN:
        shown.append(f"  … and {len(settings) - _MAX_SHOWN} more")
    if facts["load_points"]:
        return [*_load_lines(facts), f"to measure what is left: {run}"]
    out = [
        f"{facts['name']}: {_prompts_text(facts)} × "
        f"{plural(len(settings), 'setting')} × {plural(facts['repeats'], 'repeat')} = "
        f"{plural(facts['trials'], 'trial')}",
        *(f"  {line}" for line in _replay_lines(facts)),
        *shown,
        f"recorded already, and free: {facts['recorded']} · to send: {facts['to_send']}",
    ]
    if facts["waiting"]:
        out.append(f"in batches at the provider: {plural(facts['waiting'], 'trial')}")
    if facts["to_send"]:
        out += [_tokens_line(facts), *_cost_and_time_lines(facts)]
    batches = " in batches" if _is_in_batches(facts) else ""
    out += [
        f"no price for {entry['model']} at {entry['provider']}{batches}; to be added to a file for "
        f"pricing.files=[FILE], or as pricing.prices=[…]: {entry['add']}"
        for entry in facts["unpriced"]
    ]
    out += [f"run `{name}` cannot be read and was left out" for name in facts["unreadable_runs"]]
    if "detect" in facts:
        out += facts["detect"].lines
    if "equality" in facts:
        out += facts["equality"].lines
    guessed = any(
        not (s["extrapolated"] or s["exact"]) and s["to_send"] for s in facts["by_setting"]
    )
    if guessed and facts["to_send"] and not piloted:
        pilot = shlex.join(["evalharness", "plan", "--pilot", "5", *arguments])
        out.append(f"a few trials first narrow this down: {pilot}")
    if not facts["to_send"] and facts["waiting"]:
        return [*out, f"to fetch the answers of its batches: {run}"]
    if not facts["to_send"]:
        return [*out, "nothing is left to send"]
    return [*out, f"to send what is left: {run}"]


def _prompts_text(facts: dict[str, Any]) -> str:
    prompts = plural(facts["prompts"], "prompt")
    if not facts["conversations"]:
        return prompts
    return f"{prompts} ({facts['turns']} of them turns of {facts['conversations']} conversations)"


def _is_in_batches(facts: dict[str, Any]) -> bool:
    return facts["batch"] is not None and facts["batch"]["chosen"]


def _cost_and_time_lines(facts: dict[str, Any]) -> list[str]:
    """Cost and time as configured, and those in batches where the provider takes some."""
    batch = facts["batch"]
    if _is_in_batches(facts):
        return [f"cost, in batches: {_cost_text(facts)}", *chosen_lines(batch)]
    lines = [f"cost: {_cost_text(facts)}", f"time: {_time_text(facts)}"]
    if batch is not None:
        in_batches = {**facts, "cost_usd": batch["cost_usd"], "worst_case_usd": None}
        lines.append(offer_line(batch, _cost_text(in_batches)))
    return lines


def _load_lines(facts: dict[str, Any]) -> list[str]:
    """A benchmark for a person: its load points, and what they cost at most."""
    points: list[dict[str, Any]] = facts["load_points"]
    out = [f"{facts['name']}: {_prompts_text(facts)}, load points one after the other:"]
    out += [f"  {line}" for line in _replay_lines(facts)]
    out += [_load_point_line(point) for point in points[:_MAX_SHOWN]]
    if len(points) > _MAX_SHOWN:
        out.append(f"  … and {len(points) - _MAX_SHOWN} more")
    known = all(
        p["requests"] is not None and not {"search", "sweep"} & p["load"].keys() for p in points
    )
    if known:
        out += [_tokens_line(facts), f"cost, at most: {_cost_text(facts)}"]
    else:
        out.append("tokens and cost are not known before: limits.max_cost_usd bounds them")
    return out


def _replay_lines(facts: dict[str, Any]) -> list[str]:
    """What a replay sends again; empty without one."""
    from evalharness.report.sections.replay.sentences import replay_lines
    from evalharness.store.parts.replay_file import ReplaySource

    source = facts["replay"]
    return [] if source is None else replay_lines(msgspec.convert(source, ReplaySource))


def _tokens_line(facts: dict[str, Any]) -> str:
    bases = {
        "recorded": "these prompts were counted before",
        "asked": "as long as the workload asks, ± 2 %",
        "fitted": "from tokens a character in recorded runs, 95 % interval",
        "length": "guessed from their length, right within a factor of 2",
        "unknown": "images, recordings or files become an unknown number of tokens; "
        "provider.profile.part_tokens.TYPE=N states the most",
        "unbounded": "later turns hold earlier answers, which have no bound: set params.max_tokens",
    }
    basis = " · ".join(dict.fromkeys(bases[model["basis"]] for model in facts["models"]))
    if facts["conversations"] and all(m["basis"] != "unbounded" for m in facts["models"]):
        basis += "; later turns with the answers before them, of 0 to max_tokens"
    answers = _basis_of_answers(facts["by_setting"])
    return (
        f"prompt tokens: {_range_text(facts['prompt_tokens'], 'an unknown number')} ({basis})\n"
        f"completion tokens: {_range_text(facts['completion_tokens'], _NO_BOUND)} ({answers})"
    )


def _basis_of_answers(settings: list[dict[str, Any]]) -> str:
    left = [setting for setting in settings if setting["to_send"]]
    if left and all(setting["exact"] for setting in left):
        return "as long as the workload asks"
    if all(setting["extrapolated"] for setting in left):
        recorded = sum(setting["observed"] for setting in settings)
        return f"from {recorded} recorded answers, 95 % interval"
    return "0 to max_tokens where no answers are recorded"


_NO_BOUND = "no bound (set params.max_tokens)"


def _range_text(tokens: dict[str, Any], unbounded: str) -> str:
    low, expected, high = tokens["low"], tokens["expected"], tokens["high"]
    top = unbounded if high is None else f"{high:,.0f}"
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
    if cost["most"] is not None:
        top = dollars(cost["most"])
    else:
        top = "an unknown amount" if facts["prompt_tokens"]["high"] is None else _NO_BOUND
    about = "" if cost["expected"] is None else f"about {dollars(cost['expected'])}, "
    worst = facts["worst_case_usd"]
    more = "" if worst is None else f"; never above {dollars(worst)} without retries"
    return f"{about}{dollars(cost['least'])} to {top}{more}"


def _time_text(facts: dict[str, Any]) -> str:
    time_s = facts["time_s"]
    if time_s["expected"] is None:
        return "unknown (no recorded run of this model, and neither limits.rpm nor limits.tpm)"
    limit, duration = time_s["limited_by"], _duration_text(time_s["expected"])
    by = f"limits.{limit}={facts[limit]:g}"
    if limit == "concurrency":
        by = f"limits.concurrency={facts['concurrency']} at the recorded latency"
    if time_s["at_concurrency"] is None:
        return f"at least {duration} ({by}; no recorded latency of this model)"
    return f"about {duration} ({by})"


def _duration_text(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _load_point_line(point: dict[str, Any]) -> str:
    """A load point on one line."""
    load: dict[str, Any] = dict(point["load"])
    search, sweep = load.pop("search", None), load.pop("sweep", None)
    shown = ", ".join(f"{key}={value}" for key, value in load.items() if key != "slo")
    known = point["requests"] is not None
    about = "" if load.get("arrival") == "replay" else "about "
    count = f"{about}{point['requests']} requests" if known else "as many requests as fit"
    lasts = "" if point["seconds"] is None else f" in {_duration_text(point['seconds'])}"
    steps = "" if search is None else f", up to {search.get('max_points', 16)} such steps"
    if sweep is not None:
        steps = f", up to {sweep['points']} load points over {sweep['over']}"
    return f"  {shown}: {count}{lasts}{steps}"
