"""Caveats about the run itself: unfinished, errors, a saturated client, unknown costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalharness.pricing.cost_formula import USAGE_CONTRADICTS
from evalharness.process.text import plural
from evalharness.report.build.load_data import LoadData
from evalharness.report.section import ReportData
from evalharness.report.sections.attempts.section import ERRORS
from evalharness.report.sections.headline.caveat import Caveat
from evalharness.report.sections.money.section import PRICES
from evalharness.report.sections.provenance import PROVENANCE, Session
from evalharness.report.sections.run import RunFacts
from evalharness.report.sections.settings.section import SETTINGS
from evalharness.report.words.cost_origin import BILLED
from evalharness.report.words.format_numbers import add_dollars, dollars, duration, percent, seconds
from evalharness.report.words.names import join_names
from evalharness.report.words.sanitize import one_line
from evalharness.report.words.unknown_cost_text import add_reasons, usage_contradicts_text

SATURATED = 0.9  # of one core, because one thread handles all requests
MIN_SESSION_S = 2.0  # shorter sessions are mostly start-up
# A lag of the event loop up to this, or up to this share of a latency, is not worth a caveat.
_ERROR_CHARS = 120  # of a server's words
_LATE_S = 0.005
_LATE_SHARE = 0.05
_MIN_PROBES = 50  # a second of them; fewer give no 99th percentile


def unfinished(run: RunFacts) -> Iterator[Caveat]:
    """Records that are missing, damaged or left out, and attempts in doubt."""
    if run.status not in ("complete", "imported"):
        planned = "" if run.planned is None else f" of {run.planned:,} planned trials"
        why = f" ({run.reason})" if run.reason else ""
        yield Caveat(f"The run is {run.status}{why}: {run.records:,}{planned} are recorded.", True)
    if run.damaged_journal_entries:
        damaged = run.damaged_journal_entries
        yield Caveat(
            f"Journal entries that could not be read: {damaged:,}; `evalharness verify` says "
            "which.",
            True,
        )
    if run.records_outside_plan:
        yield Caveat(
            f"{plural(run.records_outside_plan, 'record')} that the plan no longer asks for "
            "(settings, prompts, repeats) left out; `report --all` shows them.",
            False,
        )
    if run.attempts_in_doubt:
        attempts = plural(run.attempts_in_doubt, "attempt")
        yield Caveat(
            f"{attempts} in doubt: sent, outcome unknown, possibly billed without an answer.", False
        )


def unverified(report: ReportData) -> Iterator[Caveat]:
    """Providers whose certificates were not checked."""
    names = report[PROVENANCE].unverified
    if names:
        yield Caveat(
            f"The certificate of {join_names(names, 4)} was not checked (provider.verify=false): "
            "anybody on the way could have read the requests, the key too, and made the answers.",
            True,
        )


def load_points(load: LoadData | None) -> Iterator[Caveat]:
    """Load points that are invalid or were cut short."""
    for point in [] if load is None else load.points:
        for reason in point.invalid:
            yield Caveat(f"Load point {point.label} is invalid: {reason}.", True)
        if point.state == "cut":
            yield Caveat(f"Load point {point.label} was cut short: {point.reason}.", True)


def errors(report: ReportData) -> Iterator[Caveat]:
    """Trials that ended as errors, by kind."""
    total = sum(row.trials for row in report[SETTINGS])
    failed = sum(row.status["error"] for row in report[SETTINGS])
    if not failed:
        return
    kinds: dict[str, int] = {}
    for row in report[ERRORS]:
        kind = str(row.error_kind or "unknown")
        kinds[kind] = kinds.get(kind, 0) + row.count
    causes = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items(), key=_by_count))
    commonest = max(report[ERRORS], key=lambda row: row.count, default=None)
    words = "" if commonest is None or commonest.example is None else commonest.example
    yield Caveat(
        f"{failed:,} of {total:,} trials are errors ({percent(failed / total, 1)}: {causes}); "
        "they are in no agreement and no score."
        + (f" The commonest: {one_line(words, _ERROR_CHARS)}" if words else ""),
        failed / total >= 0.01,
    )


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def saturated_client(report: ReportData) -> Iterator[Caveat]:
    """An event loop that ran late: its lag is part of the measured times."""
    sessions = report[PROVENANCE].sessions
    lags = [session.loop_lag_s for session in sessions if session.loop_lag_s is not None]
    lag_s = max((lag.p99 or 0.0 for lag in lags if lag.n >= _MIN_PROBES), default=0.0)
    streamed = any(row.ttft_s.p50 is not None for row in report[SETTINGS])
    medians = [row.latency_s.p50 for row in report[SETTINGS]]
    shortest = min((median for median in medians if median is not None), default=0.0)
    # The chunks of a stream are milliseconds apart, however long the whole response takes.
    allowed_s = _LATE_S if streamed else max(_LATE_S, _LATE_SHARE * shortest)
    if lag_s > allowed_s:
        yield Caveat(
            f"Client saturated: its event loop ran up to {seconds(lag_s)} late (99th percentile), "
            "and times are too long by as much. Lower limits.concurrency, or use a machine with "
            "less to do.",
            True,
        )
    else:
        yield from _busy_sessions(sessions)


def _busy_sessions(sessions: Sequence[Session]) -> Iterator[Caveat]:
    """Sessions that used nearly a whole core: they ran late, also where no lag was recorded."""
    for session in sessions:
        length_s, cpu_s = session.seconds or 0.0, session.cpu_s or 0.0
        if length_s >= MIN_SESSION_S and cpu_s >= SATURATED * length_s:
            yield Caveat(
                f"Client saturated: it computed {percent(cpu_s / length_s)} of a core while "
                f"it sent {session.sent:,} requests in {duration(length_s)}, so latencies are "
                "partly its own; lower limits.concurrency.",
                True,
            )


def unknown_costs(report: ReportData) -> Iterator[Caveat]:
    """Models without a price, and bills that differ from the cost by the price table."""
    rows = report[SETTINGS]
    yield from _bills_for_prices(report)
    contradictory = add_reasons(row.cost_usd.unknown_reasons for row in rows).get(USAGE_CONTRADICTS)
    if contradictory:
        text = usage_contradicts_text(contradictory)
        yield Caveat(f"{text[0].upper()}{text[1:]}.", True)
    unknown = any(row.cost_usd.total is None for row in rows)
    for entry in report[PRICES].unpriced if unknown else []:
        names = [name for name in (entry.model, entry.provider) if name is not None]
        model = " of ".join(names) or "a model without a name"
        model += " in batches" if entry.in_batch else ""
        yield Caveat(f"No price for {model}: its cost is unknown.", False)
    gaps = [
        (setting.computed_minus_billed_usd, setting.billed_total_usd)
        for setting in report[PRICES].settings.values()
    ]
    large = [(gap, billed) for gap, billed in gaps if gap and billed and 100 * abs(gap) > billed]
    if large:
        gap, billed = (add_dollars(amounts) for amounts in zip(*large, strict=True))
        where = "" if len(gaps) == 1 else f" in {len(large)} of {len(gaps)} settings"
        yield Caveat(
            f"The provider billed {dollars(billed)} where the price table comes to "
            f"{dollars(billed + gap)}{where}: check the table.",
            True,
        )


def _bills_for_prices(report: ReportData) -> Iterator[Caveat]:
    """Costs that are the provider's bill, because no price is known."""
    rows = report[SETTINGS]
    billed = [row for row in rows if row.cost_usd.from_bill]
    if billed:
        where = "" if len(billed) == len(rows) else f" in {len(billed)} of {len(rows)} settings"
        yield Caveat(
            f"No price is known{where}: cost there is what the provider billed, marked "
            f"\u201c{BILLED}\u201d.",
            False,
        )
