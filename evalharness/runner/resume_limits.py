"""Restores rate limits and pauses when a run is continued.

A rate limit holds over every minute, also over one in which the process was killed and started
again. A pause that a server asked for holds for the next process, too. Both are read from the run
folder.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evalharness.columnar.arrow_ops import where_equal
from evalharness.parameters import output_limit
from evalharness.records import AttemptResult, Outcome, Reply
from evalharness.store.folder.run import Run
from evalharness.store.journal.journal_format import (
    FILE_NAME,
    Damage,
    connect_for_reading,
    read_entries,
)
from evalharness.store.parts.part_files import PATTERN, read_sealed
from evalharness.store.parts.to_arrow import settings_from_table
from evalharness.throttle.output_token_estimate import TokenEstimator, tokens_used
from evalharness.throttle.retry_policy import requested_wait_s
from evalharness.throttle.waiters import EarlierRequest

if TYPE_CHECKING:
    import pyarrow as pa

_ANSWERS = (Outcome.DELIVERED, Outcome.REJECTED)
_COLUMNS = ["setting_id", "admitted_at", "outcome", "prompt_tokens", "completion_tokens"]


class _Sent(NamedTuple):
    setting_id: str
    at_ns: int
    tokens: int | None
    quiet_until_ns: int | None = None
    answered: bool = False


class RestorableLimits(Protocol):
    """The part of an :class:`~evalharness.throttle.limiter.EndpointLimiter` that is restored."""

    @property
    def window_s(self) -> float:
        """How long a request counts, in seconds."""
        ...

    def restore(self, sent: Iterable[EarlierRequest]) -> None:
        """Count requests of earlier processes."""
        ...

    def mark_reached(self) -> None:
        """An earlier process had an answer from the endpoint: its address is right."""
        ...

    def probe_first(self) -> None:
        """Admit one request first, and the others after its answer."""
        ...

    def pause(self, seconds: float, reason: str) -> None:
        """Admit no request for so long."""
        ...


def restore_limits(root: Path, limiters: Mapping[str, RestorableLimits], max_wait_s: float) -> None:
    """Tell limiters what earlier processes sent; call it before anything is admitted.

    A pause that the server asked for goes on. Where more than ``max_wait_s`` of it is left, it had
    stopped the earlier process, and the user has started the run again all the same: then one
    request goes first, and the others wait for its answer.

    Args:
        root: the run folder; open, so that attempts without a result are settled already.
        limiters: by provider name.
        max_wait_s: ``limits.max_wait_s``.
    """
    run = Run.open(root)
    settings = {s.setting_id: s for s in run.setting_list}
    _mark_reached(run, limiters)
    now_ns = time.time_ns()
    by_provider: dict[str, list[_Sent]] = defaultdict(list)
    window_s = max(limiter.window_s for limiter in limiters.values())
    for sent in (*_in_journal(root), *_in_parts(root, now_ns, window_s)):
        setting = settings.get(sent.setting_id)
        if setting is not None and setting.provider in limiters:
            by_provider[setting.provider].append(sent)
    max_tokens_by_setting = {key: output_limit(s.params) for key, s in settings.items()}
    for provider, attempts in by_provider.items():
        limiter = limiters[provider]
        largest = max((s.tokens or 0 for s in attempts), default=0)
        limiter.restore(
            EarlierRequest(s.at_ns, _tokens(s, largest, max_tokens_by_setting)) for s in attempts
        )
        quiet_ns = max((s.quiet_until_ns or 0 for s in attempts), default=0) - now_ns
        if quiet_ns > max_wait_s * 1e9:
            limiter.probe_first()
        elif quiet_ns > 0:
            limiter.pause(quiet_ns / 1e9, "the server asked for it before this run was continued")


def _mark_reached(run: Run, limiters: Mapping[str, RestorableLimits]) -> None:
    """Tell limiters which endpoints an earlier process reached, under the present address.

    Where a provider's address changed, its settings have other ids. The newest part nearly always
    has results of every endpoint; then no other part is read.
    """
    provider = {
        s.setting_id: s.provider
        for s, active in settings_from_table(run.table("settings"))
        if active
    }
    pending = set(limiters)
    for answered in _answered(run.root):
        for name in {provider.get(setting_id, "") for setting_id in answered} & pending:
            limiters[name].mark_reached()
            pending.discard(name)
        if not pending:
            return


def _answered(root: Path) -> Iterator[set[str]]:
    """Settings whose endpoint answered: by the journal, then by each part, the newest first."""
    yield {sent.setting_id for sent in _in_journal(root) if sent.answered}
    for path in sorted((root / "attempts").glob(PATTERN), reverse=True):
        table = read_sealed(path, ["setting_id", "outcome"])
        setting_ids: set[str] = set()
        for outcome in _ANSWERS:
            answered = where_equal(table, "outcome", outcome.value)
            setting_ids.update(map(str, answered["setting_id"].unique().to_pylist()))
        yield setting_ids


def _tokens(sent: _Sent, largest: int, max_tokens_by_setting: Mapping[str, int | None]) -> int:
    """Known tokens; else those of the largest request, or the estimate for a first one."""
    if sent.tokens is not None:
        return sent.tokens
    return largest or TokenEstimator().output("", max_tokens_by_setting.get(sent.setting_id))


def _in_journal(root: Path) -> Iterator[_Sent]:
    db = connect_for_reading(root / "journal" / FILE_NAME)
    if db is None:
        return
    damage: list[Damage] = []  # is reported when the folder is opened for writing
    try:
        for _, value in read_entries(db, damage=damage):
            if isinstance(value, AttemptResult):
                intent, reply = value.intent, value.reply
                yield _Sent(
                    intent.setting_id,
                    intent.admitted_at_ns,
                    tokens_used(reply),
                    _quiet_until_ns(reply),
                    reply.outcome in _ANSWERS,
                )
    finally:
        db.close()


def _quiet_until_ns(reply: Reply) -> int | None:
    """Until when the server asked for quiet, nanoseconds since the Unix epoch."""
    if reply.sent_at_ns is None or reply.outcome is Outcome.DELIVERED:
        return None
    came_ns = reply.sent_at_ns + round((reply.headers_s or reply.latency_s or 0.0) * 1e9)
    requested_s = requested_wait_s(reply, came_ns)
    return None if requested_s is None else came_ns + round(requested_s * 1e9)


def _in_parts(root: Path, now_ns: int, window_s: float) -> Iterator[_Sent]:
    """Attempts in parts that are recent enough to count; older parts are not read."""
    for path in sorted((root / "attempts").glob(PATTERN)):
        if now_ns - path.stat().st_mtime_ns <= window_s * 1e9:
            yield from _sent_rows(_read(path))


def _read(path: Path) -> pa.Table:
    from evalharness.columnar.arrow_ops import read_parquet

    return read_parquet(path, _COLUMNS)


def _sent_rows(table: pa.Table) -> Iterator[_Sent]:
    import pyarrow as pa

    moments = table["admitted_at"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    columns = [table[name].to_pylist() for name in _COLUMNS if name != "admitted_at"]
    for at_ns, setting_id, outcome, prompt, completion in zip(
        moments.to_pylist(), *columns, strict=True
    ):
        tokens = None if prompt is None or completion is None else prompt + completion
        yield _Sent(setting_id, at_ns, 0 if outcome == "not_sent" else tokens)
