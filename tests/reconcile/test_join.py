"""Attempts and rows of the log that belong together, and every way in which they disagree."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from evalharness.reconcile.join import RecordedAttempt, has_discrepancies, reconcile_attempts
from evalharness.reconcile.log import LogRow


def _attempt(number: int, outcome: str = "delivered", **more: Any) -> RecordedAttempt:
    given: dict[str, Any] = {
        "trial_id": f"t{number}", "client_request_id": f"evh-{number}", "inference_id": None,
        "billed_usd": None, "computed_usd": None, "reserved_usd": None, **more,
    }  # fmt: skip
    return RecordedAttempt(outcome=outcome, **given)


def _row(number: int | None, usd: str, **more: Any) -> LogRow:
    given: dict[str, Any] = {
        "client_request_id": None if number is None else f"evh-{number}", "inference_id": None,
        "request_id": None, "created": None, "model": None, "succeeded": usd != "0",
        "prompt_tokens": None, "completion_tokens": None, **more,
    }  # fmt: skip
    return LogRow(usd=Decimal(usd), **given)


def test_every_kind_of_disagreement_is_counted() -> None:
    """Matched, missing, billed twice, doubt resolved three ways, strangers: each in its place."""
    attempts = [
        _attempt(1, billed_usd=Decimal("0.1"), computed_usd=Decimal("0.12")),
        _attempt(2, billed_usd=Decimal("0.1")),  # billed twice
        _attempt(3),  # missing
        _attempt(4, "in_doubt", trial_id="t5"),  # billed after all, and so was its retry
        _attempt(5, trial_id="t5"),
        _attempt(6, "in_doubt"),  # failed: not billed
        _attempt(7, "in_doubt", reserved_usd=Decimal("0.5")),  # nobody knows
        _attempt(8, "rejected"),  # not logged, and nobody's loss
        _attempt(9, inference_id="inf-9"),
    ]
    rows = [
        _row(1, "0.1"), _row(2, "0.1"), _row(2, "0.1"), _row(4, "0.3"), _row(5, "0.2"),
        _row(6, "0"), _row(None, "0.4", inference_id="inf-9"), _row(99, "9"), _row(None, "9"),
    ]  # fmt: skip
    facts = reconcile_attempts(attempts, rows)
    assert (facts["matched"], facts["logged"], facts["other_rows"]) == (6, 7, 2)
    assert facts["logged_usd"] == Decimal("1.2")
    assert facts["missing"] == {"count": 1, "first": ["evh-3"]}
    assert facts["billed_twice"] == {
        "count": 1, "first": ["evh-2"], "extra_usd": Decimal("0.1"),
    }  # fmt: skip
    assert facts["trials_billed_more_than_once"]["first"] == ["t5"]
    assert facts["trials_billed_more_than_once"]["extra_usd"] == Decimal("0.3")
    assert facts["in_doubt"] == {
        "count": 3, "billed": 1, "billed_usd": Decimal("0.3"), "not_billed": 1, "not_listed": 1,
        "worst_case_usd": Decimal("0.5"),
    }  # fmt: skip
    assert facts["billed"]["difference_usd"] == Decimal("-0.1")
    assert facts["computed"]["difference_usd"] == Decimal("0.02")
    assert has_discrepancies(facts)
    assert not has_discrepancies(reconcile_attempts(attempts[:1], rows[:1]))
