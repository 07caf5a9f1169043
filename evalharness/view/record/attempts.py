"""The attempts of a trial as lines of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from evalharness.pricing.book import PriceBook
from evalharness.report.words.format_numbers import seconds
from evalharness.report.words.sanitize import one_line
from evalharness.store.folder.run import Run
from evalharness.view.record.money import attempt_costs
from evalharness.view.record.read import plain_rows
from evalharness.view.record.waterfall import Times, drawings

if TYPE_CHECKING:
    import pyarrow as pa
    from markupsafe import Markup


class AttemptLine(NamedTuple):
    """An attempt; texts are a dash where unknown.

    Attributes:
        number: from 1; None where it was not recorded which it was.
        outcome: delivered, rejected, not_sent or in_doubt; empty where unknown.
        result: the HTTP status, and what was wrong.
        queue, first_token, latency, backoff: durations.
        cost: in US dollars.
        drawing: its times; None where they are unknown.
        is_final: whether it became the record.
    """

    number: int | None
    outcome: str
    result: str
    queue: str
    first_token: str
    latency: str
    backoff: str
    cost: str
    drawing: Markup | None
    is_final: bool


def attempt_lines(
    run: Run, attempts: pa.Table, record: Mapping[str, Any], book: PriceBook
) -> list[AttemptLine]:
    """The attempts of a record; of a run that keeps none, what the record says of its last one."""
    models = {s.setting_id: (s.provider, s.model) for s in run.setting_list}
    rows = plain_rows(attempts)
    costs = attempt_costs(attempts, models, book) if rows else []
    if not rows and record["latency_s"] is not None:
        rows, costs = [{**record, **_NO_ATTEMPT, "attempt": record["attempts"]}], [""]
    if len(rows) == 1 and rows[0]["sent_at"] is None and rows[0]["latency_s"] is not None:
        rows[0]["sent_at"] = 0  # without an instant, its durations are still known
    times = [_times(row, record) for row in rows]
    return [
        _line(row, time, cost, drawing)
        for row, time, cost, drawing in zip(rows, times, costs, drawings(times), strict=True)
    ]


_NO_ATTEMPT = {"outcome": "", "backoff_s": None, "final": True}


def _times(row: Mapping[str, Any], record: Mapping[str, Any]) -> Times:
    # The time of the first token is kept of the attempt that became the record alone.
    first = record["ttft_s"] if row["final"] else None
    return Times(row["sent_at"], row["queue_s"], first, row["latency_s"], row["backoff_s"])


def _line(row: Mapping[str, Any], times: Times, cost: str, drawing: Markup | None) -> AttemptLine:
    problem = [row["error_kind"], row["error_message"]]
    status = None if row["http_status"] is None else f"HTTP {row['http_status']}"
    parts = [str(part) for part in (status, *problem) if part]
    return AttemptLine(
        number=row["attempt"],
        outcome=row["outcome"],
        result=one_line(": ".join(parts), 300),
        queue=seconds(times.queue_s),
        first_token=seconds(times.first_token_s),
        latency=seconds(times.latency_s),
        backoff=seconds(times.backoff_s),
        cost=cost,
        drawing=drawing,
        is_final=row["final"],
    )
