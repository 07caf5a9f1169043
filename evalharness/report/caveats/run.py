"""What the run itself went through: unfinished, errors, a busy client, money that is not known."""

from __future__ import annotations

from collections.abc import Iterator

from evalharness.report.caveats.base import Caveat, Row
from evalharness.report.words import format_numbers as n

SATURATED = 0.9  # of one core: requests are handled by one thread
LEAST_SESSION_S = 2.0  # shorter ones are start-up
# The client itself may be this late, or by this share of a latency, before that is worth saying.
_LATE_S = 0.005
_LATE_SHARE = 0.05
_PROBES = 50  # a second of them; fewer say nothing about a 99th percentile


def unfinished(run: Row) -> Iterator[Caveat]:
    """What is missing from the run folder, or was left out of it."""
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


def loads(data: Row | None) -> Iterator[Caveat]:
    """Load points that do not show what their load says."""
    points: list[Row] = [] if data is None else data["points"]
    for point in points:
        for reason in point["invalid"]:
            yield Caveat(f"Load point {point['label']} is invalid: {reason}.", True)
        if point["state"] == "cut":
            yield Caveat(f"Load point {point['label']} was cut short: {point['reason']}.", True)


def errors(data: Row) -> Iterator[Caveat]:
    """Trials that ended as errors, by kind."""
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


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def client(data: Row) -> Iterator[Caveat]:
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


def money(data: Row) -> Iterator[Caveat]:
    """Costs that are not known, and bills that the price table does not come to."""
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
