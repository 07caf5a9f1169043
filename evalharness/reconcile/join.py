"""Log rows and attempts side by side, joined by the client id of each attempt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from evalharness.reconcile.log import LogRow
from evalharness.records import Outcome

_LISTED = 20  # ids named; more are only counted
_ZERO = Decimal(0)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as recorded. Dollars are exact; None is unknown."""

    trial_id: str
    client_request_id: str
    inference_id: str | None
    outcome: str
    billed_usd: Decimal | None
    computed_usd: Decimal | None
    reserved_usd: Decimal | None


class _Matched(msgspec.Struct, frozen=True):
    attempt: Attempt
    rows: list[LogRow]

    @property
    def paid(self) -> list[LogRow]:
        return [row for row in self.rows if row.usd]

    @property
    def usd(self) -> Decimal:
        return sum((row.usd or _ZERO for row in self.rows), _ZERO)


def reconcile_attempts(attempts: Sequence[Attempt], rows: Iterable[LogRow]) -> dict[str, Any]:
    """Compare what was recorded with what was logged.

    An attempt is matched by its client request id, else by its inference id.

    Returns:
        ``attempts``, ``matched`` of them, ``logged`` rows that belong to them and ``logged_usd``;
        ``missing``: delivered attempts that the log does not have (yet); ``billed_twice``: attempts
        with several paid rows; ``trials_billed_more_than_once``: trials that cost money in several
        attempts; ``in_doubt``: what became of attempts of unknown outcome; ``billed`` and
        ``computed``: over matched attempts where we have that figure, the sums of both sides and
        their ``difference_usd`` (ours minus the log's); ``other_rows``: rows that belong to nobody
        here. Dollars are Decimals; lists of ids name the first 20.
    """
    joined, others = _join(attempts, rows)
    found = [item for item in joined if item.rows]
    missing = [
        item.attempt
        for item in joined
        if not item.rows and item.attempt.outcome == Outcome.DELIVERED.value
    ]
    twice = [item for item in found if len(item.paid) > 1]
    trials = Counter(item.attempt.trial_id for item in found if item.paid)
    again = [trial for trial, count in trials.items() if count > 1]
    return {
        "attempts": len(attempts),
        "matched": len(found),
        "logged": sum(len(item.rows) for item in found),
        "logged_usd": sum((item.usd for item in found), _ZERO),
        "missing": _named([a.client_request_id for a in missing]),
        "billed_twice": {
            **_named([item.attempt.client_request_id for item in twice]),
            "extra_usd": sum((_extra(item) for item in twice), _ZERO),
        },
        "trials_billed_more_than_once": {
            **_named(again),
            "extra_usd": _extra_of_trials(found, set(again)),
        },
        "in_doubt": _resolved(joined),
        "billed": _difference(found, "billed_usd"),
        "computed": _difference(found, "computed_usd"),
        "other_rows": others,
    }


def discrepancies(facts: dict[str, Any]) -> bool:
    """Whether something needs a person: missing rows, or attempts billed twice.

    Trials paid for in several attempts are the price of retrying what was in doubt.
    """
    return any(facts[name]["count"] for name in ("missing", "billed_twice"))


def _join(attempts: Sequence[Attempt], rows: Iterable[LogRow]) -> tuple[list[_Matched], int]:
    by_client = {a.client_request_id: index for index, a in enumerate(attempts)}
    by_inference = {a.inference_id: i for i, a in enumerate(attempts) if a.inference_id is not None}
    found: dict[int, list[LogRow]] = defaultdict(list)
    others = 0
    for row in rows:
        index = by_client.get(row.client_request_id or "")
        if index is None and row.inference_id is not None:
            index = by_inference.get(row.inference_id)
        if index is None:
            others += 1
        else:
            found[index].append(row)
    return [_Matched(a, found.get(i, [])) for i, a in enumerate(attempts)], others


def _named(ids: Sequence[str]) -> dict[str, Any]:
    return {"count": len(ids), "first": list(ids[:_LISTED])}


def _extra(item: _Matched) -> Decimal:
    """What was paid beyond the dearest row."""
    return item.usd - max(row.usd or _ZERO for row in item.rows)


def _extra_of_trials(found: Sequence[_Matched], trials: set[str]) -> Decimal:
    """What trials paid for in several attempts cost beyond their last paid attempt."""
    paid: dict[str, list[Decimal]] = defaultdict(list)
    for item in found:
        if item.attempt.trial_id in trials and item.paid:
            paid[item.attempt.trial_id].append(item.usd)
    return sum((sum(amounts[:-1], _ZERO) for amounts in paid.values()), _ZERO)


def _resolved(joined: Sequence[_Matched]) -> dict[str, Any]:
    """What the log tells of attempts in doubt: paid, not paid, or nothing (yet)."""
    doubtful = [item for item in joined if item.attempt.outcome == Outcome.IN_DOUBT.value]
    paid = [item for item in doubtful if item.paid]
    free = [item for item in doubtful if item.rows and not item.paid]
    unlisted = [item for item in doubtful if not item.rows]
    return {
        "count": len(doubtful),
        "billed": len(paid),
        "billed_usd": sum((item.usd for item in paid), _ZERO),
        "not_billed": len(free),
        "not_listed": len(unlisted),
        "at_worst_usd": sum((item.attempt.reserved_usd or _ZERO for item in unlisted), _ZERO),
    }


def _difference(found: Sequence[_Matched], figure: str) -> dict[str, Any]:
    both = [item for item in found if getattr(item.attempt, figure) is not None]
    ours = sum((getattr(item.attempt, figure) for item in both), _ZERO)
    logged = sum((item.usd for item in both), _ZERO)
    return {
        "attempts": len(both),
        "ours_usd": ours if both else None,
        "logged_usd": logged if both else None,
        "difference_usd": ours - logged if both else None,
    }
