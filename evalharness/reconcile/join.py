"""The join of log rows and attempts, by the client request id of each attempt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from evalharness.reconcile.log import LogRow
from evalharness.records import Outcome

_LISTED = 20  # ids given; more are only counted
_ZERO = Decimal(0)


class RecordedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as recorded. Dollars are exact; None is unknown."""

    trial_id: str
    client_request_id: str
    inference_id: str | None
    outcome: str
    billed_usd: Decimal | None
    computed_usd: Decimal | None
    reserved_usd: Decimal | None


class _MatchedAttempt(msgspec.Struct, frozen=True):
    """An attempt with its rows of the log."""

    attempt: RecordedAttempt
    rows: list[LogRow]

    @property
    def paid_rows(self) -> list[LogRow]:
        return [row for row in self.rows if row.usd]

    @property
    def usd(self) -> Decimal:
        return sum((row.usd or _ZERO for row in self.rows), _ZERO)


def reconcile_attempts(
    attempts: Sequence[RecordedAttempt], rows: Iterable[LogRow]
) -> dict[str, Any]:
    """Compare recorded attempts with rows of the log.

    An attempt is matched by its client request id, else by its inference id.

    Returns:
        ``attempts``, ``matched`` of them, ``logged`` rows that belong to them and ``logged_usd``;
        ``missing``: delivered attempts that the log does not have (yet); ``billed_twice``: attempts
        with several paid rows; ``trials_billed_more_than_once``: trials that cost money in several
        attempts; ``in_doubt``: what became of attempts of unknown outcome; ``billed`` and
        ``computed``: over matched attempts where we have that figure, the sums of both sides and
        their ``difference_usd`` (ours minus the log's); ``other_rows``: rows that match no attempt.
        Dollars are Decimals; lists of ids name the first 20.
    """
    joined, others = _join(attempts, rows)
    matched = [item for item in joined if item.rows]
    missing = [
        item.attempt
        for item in joined
        if not item.rows and item.attempt.outcome == Outcome.DELIVERED.value
    ]
    billed_twice = [item for item in matched if len(item.paid_rows) > 1]
    trials = Counter(item.attempt.trial_id for item in matched if item.paid_rows)
    paid_again = [trial for trial, count in trials.items() if count > 1]
    return {
        "attempts": len(attempts),
        "matched": len(matched),
        "logged": sum(len(item.rows) for item in matched),
        "logged_usd": sum((item.usd for item in matched), _ZERO),
        "missing": _id_list([a.client_request_id for a in missing]),
        "billed_twice": {
            **_id_list([item.attempt.client_request_id for item in billed_twice]),
            "extra_usd": sum((_extra_paid(item) for item in billed_twice), _ZERO),
        },
        "trials_billed_more_than_once": {
            **_id_list(paid_again),
            "extra_usd": _extra_of_trials(matched, set(paid_again)),
        },
        "in_doubt": _in_doubt_facts(joined),
        "billed": _difference(matched, "billed_usd"),
        "computed": _difference(matched, "computed_usd"),
        "other_rows": others,
    }


def has_discrepancies(facts: dict[str, Any]) -> bool:
    """Whether a person has to look: rows are missing, or attempts were billed twice.

    Trials paid for in several attempts do not count: retrying attempts in doubt has that price.
    """
    return any(facts[name]["count"] for name in ("missing", "billed_twice"))


def _join(
    attempts: Sequence[RecordedAttempt], rows: Iterable[LogRow]
) -> tuple[list[_MatchedAttempt], int]:
    by_client = {a.client_request_id: index for index, a in enumerate(attempts)}
    by_inference = {a.inference_id: i for i, a in enumerate(attempts) if a.inference_id is not None}
    rows_by_attempt: dict[int, list[LogRow]] = defaultdict(list)
    others = 0
    for row in rows:
        index = by_client.get(row.client_request_id or "")
        if index is None and row.inference_id is not None:
            index = by_inference.get(row.inference_id)
        if index is None:
            others += 1
        else:
            rows_by_attempt[index].append(row)
    return [_MatchedAttempt(a, rows_by_attempt.get(i, [])) for i, a in enumerate(attempts)], others


def _id_list(ids: Sequence[str]) -> dict[str, Any]:
    return {"count": len(ids), "first": list(ids[:_LISTED])}


def _extra_paid(item: _MatchedAttempt) -> Decimal:
    """The amount paid beyond the most expensive row."""
    return item.usd - max(row.usd or _ZERO for row in item.rows)


def _extra_of_trials(matched: Sequence[_MatchedAttempt], trials: set[str]) -> Decimal:
    """The amount that trials paid beyond their last paid attempt."""
    amounts_by_trial: dict[str, list[Decimal]] = defaultdict(list)
    for item in matched:
        if item.attempt.trial_id in trials and item.paid_rows:
            amounts_by_trial[item.attempt.trial_id].append(item.usd)
    return sum((sum(amounts[:-1], _ZERO) for amounts in amounts_by_trial.values()), _ZERO)


def _in_doubt_facts(joined: Sequence[_MatchedAttempt]) -> dict[str, Any]:
    """Attempts in doubt by what the log has of them: billed, not billed, not listed (yet)."""
    doubtful = [item for item in joined if item.attempt.outcome == Outcome.IN_DOUBT.value]
    billed = [item for item in doubtful if item.paid_rows]
    not_billed = [item for item in doubtful if item.rows and not item.paid_rows]
    not_listed = [item for item in doubtful if not item.rows]
    return {
        "count": len(doubtful),
        "billed": len(billed),
        "billed_usd": sum((item.usd for item in billed), _ZERO),
        "not_billed": len(not_billed),
        "not_listed": len(not_listed),
        "worst_case_usd": sum((item.attempt.reserved_usd or _ZERO for item in not_listed), _ZERO),
    }


def _difference(matched: Sequence[_MatchedAttempt], figure: str) -> dict[str, Any]:
    comparable = [item for item in matched if getattr(item.attempt, figure) is not None]
    ours = sum((getattr(item.attempt, figure) for item in comparable), _ZERO)
    logged = sum((item.usd for item in comparable), _ZERO)
    return {
        "attempts": len(comparable),
        "ours_usd": ours if comparable else None,
        "logged_usd": logged if comparable else None,
        "difference_usd": ours - logged if comparable else None,
    }
