"""What would change a reader's mind: everything that makes a figure mean less than it seems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from evalharness.report import numbers as n
from evalharness.report.circumstances import notable
from evalharness.report.text import one_line
from evalharness.scorers.base import NO_TARGET, NOT_DUE, NOTHING_ANSWERED

Row = dict[str, Any]

FEW_PROMPTS = 20
FEW_DIFFER = 10
SATURATED = 0.9  # of one core: requests are handled by one thread
LEAST_SESSION_S = 2.0  # shorter ones are start-up
CHARS = 280  # names that a server sends may be of any length
MANY_UNPARSED = 0.05
_BAD_VERDICTS = ("ignored", "partly honoured", "reversed", "not obeyed", "changed")
# The client itself may be this late, or by this share of a latency, before that is worth saying.
_LATE_S = 0.005
_LATE_SHARE = 0.05
_PROBES = 50  # a second of them; fewer say nothing about a 99th percentile
_UNSAMPLED = ("seed", "temperature", "top_p")


class Caveat(msgspec.Struct, frozen=True):
    """One thing to know. ``serious`` ones can overturn a conclusion; others limit it."""

    text: str
    serious: bool


def caveats(data: Row) -> list[Caveat]:
    """All caveats of a run, serious ones first."""
    found = [
        *_unfinished(data["run"]), *_loads(data["load"]), *_errors(data), *_client(data),
        *_effects(data), *_unequal_losses(data), *_left_out(data), *_truncated(data),
        *_unparsed(data), *_unscored(data), *_alike(data), *_served(data),
        *(Caveat(text, False) for text in notable(data)), *_few(data), *_few_differ(data),
        *_money(data),
        *(Caveat(note, False) for note in data["run"]["notes"]),
    ]  # fmt: skip
    short = [Caveat(one_line(caveat.text, CHARS), caveat.serious) for caveat in found]
    return sorted(short, key=lambda caveat: not caveat.serious)


def _unfinished(run: Row) -> Iterator[Caveat]:
    if run["status"] not in ("complete", "imported"):
        planned = "" if run["planned"] is None else f" of {run['planned']:,} planned trials"
        why = f" ({run['reason']})" if run["reason"] else ""
        yield Caveat(
            f"The run is {run['status']}{why}: {run['records']:,}{planned} are recorded.", True
        )
    if run["damaged_journal_entries"]:
        lost = run["damaged_journal_entries"]
        yield Caveat(
            f"Journal entries that could not be read: {lost:,}; `evalharness verify` says which.",
            True,
        )
    if run.get("records_outside_plan"):
        yield Caveat(
            f"{n.plural(run['records_outside_plan'], 'record')} that the plan no longer asks for "
            "(settings, prompts, repeats) left out; `report --all` shows them.",
            False,
        )
    if run["attempts_in_doubt"]:
        doubtful = n.plural(run["attempts_in_doubt"], "attempt")
        yield Caveat(
            f"{doubtful} in doubt: sent, outcome unknown, possibly billed without an answer.", False
        )


def _loads(data: Row | None) -> Iterator[Caveat]:
    points: list[Row] = [] if data is None else data["points"]
    for point in points:
        for reason in point["invalid"]:
            yield Caveat(f"Load point {point['label']} is invalid: {reason}.", True)
        if point["state"] == "cut":
            yield Caveat(f"Load point {point['label']} was cut short: {point['reason']}.", True)


def _errors(data: Row) -> Iterator[Caveat]:
    total = sum(row["trials"] for row in data["settings"])
    failed = sum(row["status"]["error"] for row in data["settings"])
    if not failed:
        return
    kinds: dict[str, int] = {}
    for row in data["errors"]:
        kind = str(row["error_kind"] or "unknown")
        kinds[kind] = kinds.get(kind, 0) + row["count"]
    causes = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=_most))
    yield Caveat(
        f"{failed:,} of {total:,} trials are errors ({n.percent(failed / total, 1)}: {causes}); "
        "they are in no agreement and no score.",
        failed / total >= 0.01,
    )


def _saturated(sessions: list[Row]) -> Iterator[Caveat]:
    """A client that computes all the time is late, also where no lag was recorded."""
    for session in sessions:
        seconds, cpu = session.get("seconds") or 0.0, session.get("cpu_s") or 0.0
        if seconds >= LEAST_SESSION_S and cpu >= SATURATED * seconds:
            yield Caveat(
                f"Client saturated: it computed {n.percent(cpu / seconds)} of a core while "
                f"it sent {session['sent']:,} requests in {n.span(seconds)}, so latencies are "
                "partly its own; lower limits.concurrency.",
                True,
            )


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _unscored(data: Row) -> Iterator[Caveat]:
    """Scorers that left outputs without a score, and why. Errors have a caveat of their own."""
    for scorer in data["scorers"]:
        reasons = [one for one in scorer["unscored"] if one["reason"] != NOTHING_ANSWERED]
        # Some prompts without a target are how a dataset is made; none with one is a mistake.
        meant = all(one["reason"] in (NO_TARGET, NOT_DUE) for one in reasons)
        if not reasons or (meant and scorer["scored"]):
            continue
        yield Caveat(
            f"Scorer {scorer['name']} gave no score to {sum(one['n'] for one in reasons):,} of "
            f"{scorer['records']:,} records: {unscored(reasons)}.",
            not meant,
        )
    failed = 0 if data["answers"] is None else data["answers"]["failed"]
    if failed:
        yield Caveat(
            f"The extraction of answers failed on {failed:,} outputs, as on a pattern over its "
            "time: they agree with nothing.",
            True,
        )


def unscored(reasons: list[Row]) -> str:
    """Why records have no score, with how many."""
    return "; ".join(f"{one['reason']} ({one['n']:,})" for one in reasons)


def _effects(data: Row) -> Iterator[Caveat]:
    for effect in data["effects"]:
        if effect["verdict"] in _BAD_VERDICTS:
            yield Caveat(_sentence(effect["sentence"]), True)
        elif effect["verdict"] == "undetectable" and effect["parameter"] in _UNSAMPLED:
            yield Caveat(_sentence(effect["sentence"]), False)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _unequal_losses(data: Row) -> Iterator[Caveat]:
    """Sides of a comparison that lost trials differently: what is missing may be the difference."""
    seen: set[str] = set()
    for row in data["comparisons"]:
        missing = row["missing"]
        if not missing["differs"] or row["metric"] not in ("score", "agreement"):
            continue
        text = (
            f"{row['by']} {n.parameter(row['a_value'])} lost {n.percent(missing['a'], 1)} of its "
            f"trials, {row['by']} {n.parameter(row['b_value'])} lost {n.percent(missing['b'], 1)}: "
            "what is missing may be the difference between them."
        )
        if text not in seen:
            seen.add(text)
            yield Caveat(text, True)


def _left_out(data: Row) -> Iterator[Caveat]:
    """Prompts that figures had to leave out, because repeats or partners are missing."""
    rows = [row for row in data["settings"] if (row["agreement"]["raw"]["n"] or 0) >= 2]
    fewest = min(rows, key=_compared, default=None)
    if fewest is not None and _compared(fewest) < 0:
        raw, n_prompts = fewest["agreement"]["raw"], fewest["prompts"]
        yield Caveat(
            f"Under {fewest['label']} {n_prompts - raw['prompts']:,} of "
            f"{n.plural(n_prompts, 'prompt')} have fewer than two usable repeats: "
            "they are in no agreement.",
            n_prompts - raw["prompts"] >= 0.05 * n_prompts,
        )
    shortest = min(rows, key=_whole, default=None)
    if shortest is not None and _whole(shortest) < 0:
        raw = shortest["agreement"]["raw"]
        yield Caveat(
            f"Under {shortest['label']} only {raw['tar_prompts'][str(raw['n'])]:,} of "
            f"{n.plural(shortest['prompts'], 'prompt')} have all {raw['n']} repeats: "
            "“all N same” is about those.",
            False,
        )
    yield from _without_partner(data)


def _compared(row: Row) -> int:
    """How many prompts agreement could be measured on, less all prompts."""
    return row["agreement"]["raw"]["prompts"] - row["prompts"]


def _whole(row: Row) -> int:
    """How many prompts have all N repeats, less those that have two."""
    raw = row["agreement"]["raw"]
    return raw["tar_prompts"][str(raw["n"])] - raw["prompts"]


def _without_partner(data: Row) -> Iterator[Caveat]:
    """Prompts with a score on one side of a comparison only."""
    rows = [row for row in data["comparisons"] if row["metric"] == "score"]
    worst = max(rows, key=_alone, default=None)
    if worst is not None and _alone(worst):
        yield Caveat(
            f"{worst['by']} {n.parameter(worst['a_value'])} against "
            f"{n.parameter(worst['b_value'])}: {n.plural(_alone(worst), 'prompt')} with a score on "
            f"one side only, left out; {worst['n']:,} compared.",
            False,
        )


def _alone(row: Row) -> int:
    return row["unmatched"]["a"] + row["unmatched"]["b"]


def _alike(data: Row) -> Iterator[Caveat]:
    """Agreement that is not an answer: refusals, or empty outputs, that are alike."""
    for key, what in (("equal_refusals", "refused"), ("equal_empty", "empty")):
        shares = [(row["sensitivity"][key] or 0.0, row["label"]) for row in data["settings"]]
        share, label = max(shares, default=(0.0, ""))
        if share >= 0.01:
            yield Caveat(
                f"Under {label} {n.percent(share, 1)} of the pairs of repeats agree because both "
                f"are {what} alike.",
                share >= 0.1,
            )


def _truncated(data: Row) -> Iterator[Caveat]:
    rows = [row for row in data["settings"] if row["status"]["truncated"]]
    if not rows:
        return
    cut = sum(row["status"]["truncated"] for row in rows)
    trials = sum(row["trials"] for row in data["settings"])
    limits = sorted({row["params"].get("max_tokens") for row in rows} - {None})
    at = f" {', '.join(map(str, limits))}" if limits else ""
    yield Caveat(
        f"{cut:,} of {trials:,} outputs ({n.percent(cut / trials)}) were cut at max_tokens{at}: "
        "they agree, and score, only that far.",
        cut / trials >= 0.05,
    )


def _unparsed(data: Row) -> Iterator[Caveat]:
    shares: list[float] = [
        0.0 if row["unparsed"] is None else row["unparsed"]["share"] or 0.0
        for row in data["settings"]
    ]
    if shares and max(shares) > MANY_UNPARSED:
        row = data["settings"][shares.index(max(shares))]
        yield Caveat(
            f"No answer could be parsed from up to {n.percent(max(shares), 1)} of the outputs "
            f"({row['label']}): they agree with nothing.",
            True,
        )


def _served(data: Row) -> Iterator[Caveat]:
    for row in data["settings"]:
        if len(row["served_models"]) > 1:
            yield Caveat(
                f"{row['label']} was served by {len(row['served_models'])} models: "
                f"{', '.join(row['served_models'])}.",
                True,
            )
    several = [row for row in data["settings"] if len(row["system_fingerprints"]) > 1]
    if several:
        most = max(len(row["system_fingerprints"]) for row in several)
        yield Caveat(
            f"The backend changed during the run: up to {most} system fingerprints in one setting.",
            False,
        )


def _few(data: Row) -> Iterator[Caveat]:
    run = data["run"]
    if run["prompts"] < FEW_PROMPTS:
        yield Caveat(
            f"{n.plural(run['prompts'], 'prompt')}: intervals are wide, and only large differences "
            "can be detected.",
            False,
        )
    largest = max((row["agreement"]["raw"]["n"] or 0 for row in data["settings"]), default=0)
    if largest < 2 and is_unfinished(run) and run["planned"] > run["prompts"] * run["settings"]:
        yield Caveat("Nothing is known about repeatability yet: finish the run.", True)
    elif largest < 2 and asked_repeats(data) < 2:
        yield Caveat("One repeat a prompt says nothing about repeatability: use repeats=3.", True)
    elif largest < 2:
        yield Caveat(
            "No prompt has two usable repeats: nothing is known about repeatability.", True
        )


def _few_differ(data: Row) -> Iterator[Caveat]:
    """Bootstrap intervals that rest on a handful of prompts: too narrow, see docs/statistics.md."""
    rows = [
        row
        for row in data["comparisons"]
        if n.is_share(row["metric"])
        and row["n"] >= FEW_PROMPTS
        and 0 < row["wins"] + row["losses"] < FEW_DIFFER
    ]
    if rows:
        few = min(row["wins"] + row["losses"] for row in rows)
        yield Caveat(
            f"{n.plural(len(rows), 'interval')} of differences "
            f"{'rests' if len(rows) == 1 else 'rest'} on few prompts that differ at all (down to "
            f"{few}): such intervals hold the true difference about nine times in ten, not "
            "nineteen in twenty.",
            False,
        )


def _money(data: Row) -> Iterator[Caveat]:
    unknown = any(row["cost_usd"]["total"] is None for row in data["settings"])
    unpriced: list[Row] = data["prices"]["unpriced"]
    for entry in unpriced if unknown else []:
        known = [str(entry[key]) for key in ("model", "provider") if entry[key] is not None]
        whose = " of ".join(known) or "a model without a name"
        yield Caveat(f"No price for {whose}: its cost is unknown.", False)
    gaps = [
        (setting["computed_minus_billed_usd"], setting["billed_total_usd"])
        for setting in data["prices"]["settings"].values()
    ]
    off = [(gap, billed) for gap, billed in gaps if gap and billed and abs(gap) > 0.01 * billed]
    if off:
        gap, billed = (sum(found) for found in zip(*off, strict=True))
        where = "" if len(gaps) == 1 else f" in {len(off)} of {len(gaps)} settings"
        yield Caveat(
            f"The provider billed {n.dollars(billed)} where the price table comes to "
            f"{n.dollars(billed + gap)}{where}: check the table.",
            True,
        )


def is_unfinished(run: Row) -> bool:
    """Whether trials of the plan are still to come."""
    return run["planned"] is not None and run["records"] < run["planned"]


def asked_repeats(data: Row) -> int:
    """The most trials a prompt that a setting has, whatever became of them."""
    prompts = data["run"]["prompts"] or 1
    return max((-(-row["trials"] // prompts) for row in data["settings"]), default=0)


def _client(data: Row) -> Iterator[Caveat]:
    """The client saturated: what it measured holds its own lateness."""
    sessions: list[Row] = data["provenance"]["sessions"]
    lags: list[Row] = [session["loop_lag_s"] for session in sessions if "loop_lag_s" in session]
    late: float = max((lag["p99"] for lag in lags if lag["n"] >= _PROBES), default=0.0)
    streamed = any(row["ttft_s"]["p50"] is not None for row in data["settings"])
    medians = [row["latency_s"]["p50"] for row in data["settings"]]
    shortest = min((median for median in medians if median is not None), default=0.0)
    # Between the chunks of a stream there are milliseconds, whatever the whole takes.
    allowed = _LATE_S if streamed else max(_LATE_S, _LATE_SHARE * shortest)
    if late > allowed:
        yield Caveat(
            f"Client saturated: its event loop ran up to {n.seconds(late)} late (99th percentile), "
            "and times are too long by as much. Lower limits.concurrency, or use a machine with "
            "less to do.",
            True,
        )
    else:
        yield from _saturated(sessions)
