"""A provider's own log against what a run recorded: the facts, and their lines for a person."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from evalharness.http.get import GetClient
from evalharness.pricing import PriceBook, picodollars
from evalharness.pricing.attempts import COLUMNS, AttemptCosts
from evalharness.pricing.price import to_usd
from evalharness.reconcile.join import RecordedAttempt, reconcile_attempts
from evalharness.reconcile.log import LogRow, read_log
from evalharness.reconcile.sources import LogSource, find_log_sources
from evalharness.reconcile.spans import admission_times, time_spans
from evalharness.report.words.format_numbers import dollars
from evalharness.store.folder.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_ID_COLUMNS = ("trial_id", "client_request_id", "inference_id", "admitted_at")


def reconcile_run(name: str) -> dict[str, Any]:
    """Read the log of a run's providers and compare it with the attempts of the run.

    Raises:
        ConfigError, ProviderError: no provider has a log, or it cannot be read.
    """
    run = Run.open(name)
    settings = run.setting_list
    log_sources = find_log_sources(run.configs(), sorted({s.provider for s in settings}))
    table = run.table("attempts", list(dict.fromkeys((*_ID_COLUMNS, *COLUMNS))))
    rows = [row for source in log_sources for row in _read(source, table)]
    return {
        "run": run.name,
        "providers": [source.provider for source in log_sources],
        **reconcile_attempts(_attempts(run, table, log_sources), rows),
    }


def _read(source: LogSource, table: pa.Table) -> list[LogRow]:
    with GetClient(source.key, source.tls) as getter:
        return [
            row
            for start, end in time_spans(admission_times(table))
            for row in read_log(getter.get, source.url, start, end)
        ]


def _attempts(run: Run, table: pa.Table, log_sources: list[LogSource]) -> list[RecordedAttempt]:
    """The attempts of the providers whose log is read, with what they cost by our prices."""
    providers = {source.provider for source in log_sources}
    named = {s.setting_id: (s.provider, s.model) for s in run.setting_list}
    configs = list(run.configs())
    book = PriceBook.read(
        overrides=configs[0].pricing,
        aliases={name: alias for c in configs for name, alias in c.price_aliases().items()},
        batch_discounts={k: share for c in configs for k, share in c.batch_discounts().items()},
    )
    costs = AttemptCosts(table.drop_columns(["billed_usd"]), named, book)
    billed, is_billed = picodollars.money_column(table, "billed_usd")
    columns = table.select(["setting_id", "reserved_usd", "outcome", *_ID_COLUMNS[:3]]).to_pylist()
    return [
        RecordedAttempt(
            trial_id=row["trial_id"],
            client_request_id=row["client_request_id"],
            inference_id=row["inference_id"],
            outcome=row["outcome"],
            billed_usd=to_usd(int(billed[i])) if is_billed[i] else None,
            computed_usd=to_usd(int(costs.pico[i])) if costs.known[i] else None,
            reserved_usd=row["reserved_usd"],
        )
        for i, row in enumerate(columns)
        if named.get(row["setting_id"], ("", ""))[0] in providers
    ]


def reconcile_lines(facts: dict[str, Any]) -> list[str]:
    """The facts for a person."""
    missing, twice = facts["missing"], facts["billed_twice"]
    again, doubt = facts["trials_billed_more_than_once"], facts["in_doubt"]
    out = [
        f"{facts['run']}: {facts['matched']} of {facts['attempts']} attempts found in the log of "
        f"{', '.join(facts['providers'])}, {dollars(facts['logged_usd'])} there",
    ]
    if missing["count"]:
        out.append(
            f"missing: {missing['count']} answers that we have and the log has not; rows appear "
            f"after a delay, so try again later (first: {missing['first'][0]})"
        )
    if twice["count"]:
        out.append(
            f"billed twice: {twice['count']} attempts, {dollars(twice['extra_usd'])} too "
            f"much (first: {twice['first'][0]})"
        )
    if again["count"]:
        out.append(
            f"paid for more than once, by retries: {again['count']} trials, "
            f"{dollars(again['extra_usd'])} (first: {again['first'][0]})"
        )
    if doubt["count"]:
        out.append(
            f"in doubt: {doubt['count']} attempts, of which {doubt['billed']} were billed "
            f"({dollars(doubt['billed_usd'])}), {doubt['not_billed']} were not, and "
            f"{doubt['not_listed']} are not in the log"
            + (f" (at worst {dollars(doubt['worst_case_usd'])})" if doubt["worst_case_usd"] else "")
        )
    for name, text in (("billed", "the bill in the responses"), ("computed", "our prices")):
        part = facts[name]
        if part["attempts"]:
            gap = part["difference_usd"]
            shown = "equal to the log" if not gap else _difference_text(gap)
            out.append(
                f"{text}: {dollars(part['ours_usd'])} for {part['attempts']} attempts, {shown}"
            )
    if facts["other_rows"]:
        out.append(f"{facts['other_rows']} rows of the log belong to other requests")
    return out


def _difference_text(difference: Decimal) -> str:
    return f"{dollars(abs(difference))} {'above' if difference > 0 else 'below'} the log"
