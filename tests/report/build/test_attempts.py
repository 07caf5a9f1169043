"""Attempts by outcome."""

from __future__ import annotations

import pyarrow as pa

from evalharness.report.build import errors
from evalharness.schema import arrow_schema


def test_attempts_are_described_by_outcome() -> None:
    """Failed attempts are told apart from the final ones, and trials counted once."""
    row = {"trial_id": "a", "attempt": 1, "final": False, "outcome": "rejected", "status": "error",
           "http_status": 429, "error_kind": "rate_limited", "error_message": "slow " * 100,
           "backoff_s": 1.5, "in_flight": 3, "queue_s": 0.5, "admitted_at": 0,
           "prompt_id": "p", "setting_id": "s", "repeat": 0, "client_request_id": "c"}  # fmt: skip
    rows = [row, {**row, "attempt": 2}, {**row, "attempt": 3, "final": True, "outcome": "delivered",
            "status": "ok", "error_kind": None, "http_status": 200}]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=arrow_schema("attempts"))
    again = table.select(list(errors.RETRIED_COLUMNS)).slice(0, 2)
    attempts = errors.AttemptCounter()
    for block in (table.slice(0, 2), table.slice(2)):
        attempts.add(block.select(list(errors.ATTEMPT_COLUMNS)))
    found = attempts.counts(again)
    assert (found.total, found.trials_retried) == (3, 1)
    assert found.outcomes == {"rejected": 2, "delivered": 1}
    assert found.failed[0].count == 2
    assert len(found.failed[0].example or "") == 300
    assert found.in_flight == errors.RequestsInFlight(mean=3.0, max=3)
    assert (found.wait_s_total, found.queue_s) == (4.5, errors.QueueWait(p50=0.5, p95=0.5))
    nothing = errors.AttemptCounter().counts(again.slice(0, 0))
    assert (nothing.total, nothing.failed, nothing.wait_s_total) == (0, [], 0.0)
    assert nothing.queue_s == errors.QueueWait(p50=None, p95=None)
    assert nothing.in_flight == errors.RequestsInFlight(mean=None, max=None)
