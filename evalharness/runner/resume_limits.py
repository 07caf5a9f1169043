"""What an earlier process of the run means for the throttle: what it sent lately, and any pause.

A limit holds over every minute, also over one in which the process was killed and started again,
and a server that asked for quiet asked every process of ours. Both are read from the folder.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evalharness.columnar.arrow_ops import where_equal
from evalharness.records import AttemptResult, Outcome, Reply
from evalharness.store.folder.run import Run
from evalharness.store.journal.journal_format import (
    FILE_NAME,
    Damage,
    connect_for_reading,
    read_entries,
)
from evalharness.store.parts.part_files import PATTERN, read_sealed
from evalharness.store.parts.to_arrow import settings_from
from evalharness.throttle.output_token_estimate import OutputEstimate, tokens_used
from evalharness.throttle.retry import asked_wait_s
from evalharness.throttle.waiters import SentBefore

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


class Recalls(Protocol):
    """What keeps to a limit, and can be told of what went before (see :class:`.gate.Gate`)."""

    @property
    def memory_s(self) -> float:
        """How long a request counts, in seconds."""
        ...

    def recall(self, sent: Iterable[SentBefore]) -> None:
        """Count requests of earlier processes."""
        ...

    def reached(self) -> None:
        """An earlier process had an answer from the endpoint: its address is right."""
        ...

    def probe_first(self) -> None:
        """Let one request go, and the others after its answer."""
        ...

    def pause(self, seconds: float, reason: str) -> None:
        """Let nobody go for so long."""
        ...


def recall(root: Path, gates: Mapping[str, Recalls], max_wait_s: float) -> None:
    """Tell the gates what earlier processes sent; call it before anything is admitted.

    A pause the server asked for goes on. Where more than ``max_wait_s`` of it is left, that
    ended the earlier process, and a person started again all the same: one request goes first,
    and the others wait for its answer.

    Args:
        root: the run folder; open, so that attempts without a result are settled already.
        gates: by provider name.
        max_wait_s: ``limits.max_wait_s``.
    """
    run = Run.open(root)
    settings = {s.setting_id: s for s in run.setting_list}
    _recall_reached(run, gates)
    now_ns = time.time_ns()
    by_provider: dict[str, list[_Sent]] = defaultdict(list)
    memory_s = max(gate.memory_s for gate in gates.values())
    for sent in (*_in_journal(root), *_in_parts(root, now_ns, memory_s)):
        setting = settings.get(sent.setting_id)
        if setting is not None and setting.provider in gates:
            by_provider[setting.provider].append(sent)
    caps = {key: s.params.get("max_tokens") for key, s in settings.items()}
    for provider, attempts in by_provider.items():
        gate = gates[provider]
        largest = max((s.tokens or 0 for s in attempts), default=0)
        gate.recall(SentBefore(s.at_ns, _tokens(s, largest, caps)) for s in attempts)
        quiet_ns = max((s.quiet_until_ns or 0 for s in attempts), default=0) - now_ns
        if quiet_ns > max_wait_s * 1e9:
            gate.probe_first()
        elif quiet_ns > 0:
            gate.pause(quiet_ns / 1e9, "the server asked for it before this run was continued")


def _recall_reached(run: Run, gates: Mapping[str, Recalls]) -> None:
    """Tell the gates which endpoints an earlier process reached, under the address of today.

    Where a provider's address changed, its settings are others. The newest part nearly always
    tells of every endpoint, and then no other is opened.
    """
    provider = {
        s.setting_id: s.provider for s, active in settings_from(run.table("settings")) if active
    }
    unknown = set(gates)
    for answered in _answered(run.root):
        for name in {provider.get(setting_id, "") for setting_id in answered} & unknown:
            gates[name].reached()
            unknown.discard(name)
        if not unknown:
            return


def _answered(root: Path) -> Iterator[set[str]]:
    """Settings whose endpoint answered: by the journal, then by each part, the newest first."""
    yield {sent.setting_id for sent in _in_journal(root) if sent.answered}
    for path in sorted((root / "attempts").glob(PATTERN), reverse=True):
        table = read_sealed(path, ["setting_id", "outcome"])
        found: set[str] = set()
        for outcome in _ANSWERS:
            answered = where_equal(table, "outcome", outcome.value)
            found.update(map(str, answered["setting_id"].unique().to_pylist()))
        yield found


def _tokens(sent: _Sent, largest: int, caps: Mapping[str, object]) -> int:
    """Known tokens; else as many as the largest request had, or as a first one is thought to."""
    if sent.tokens is not None:
        return sent.tokens
    cap = caps.get(sent.setting_id)
    return largest or OutputEstimate().output("", cap if isinstance(cap, int) else None)


def _in_journal(root: Path) -> Iterator[_Sent]:
    db = connect_for_reading(root / "journal" / FILE_NAME)
    if db is None:
        return
    damage: list[Damage] = []  # reported by whoever opened the folder for writing
    try:
        for _, value in read_entries(db, damage=damage):
            if isinstance(value, AttemptResult):
                intent, reply = value.intent, value.reply
                yield _Sent(
                    intent.setting_id,
                    intent.admitted_at_ns,
                    tokens_used(reply),
                    _quiet(reply),
                    reply.outcome in _ANSWERS,
                )
    finally:
        db.close()


def _quiet(reply: Reply) -> int | None:
    """Until when the server asked for quiet, nanoseconds since the Unix epoch."""
    if reply.sent_at_ns is None or reply.outcome is Outcome.DELIVERED:
        return None
    came_ns = reply.sent_at_ns + round((reply.headers_s or reply.latency_s or 0.0) * 1e9)
    asked_s = asked_wait_s(reply, came_ns)
    return None if asked_s is None else came_ns + round(asked_s * 1e9)


def _in_parts(root: Path, now_ns: int, memory_s: float) -> Iterator[_Sent]:
    """Attempts sealed so lately that they still count; older parts are not opened."""
    for path in sorted((root / "attempts").glob(PATTERN)):
        if now_ns - path.stat().st_mtime_ns <= memory_s * 1e9:
            yield from _rows(_read(path))


def _read(path: Path) -> pa.Table:
    from evalharness.columnar.arrow_ops import read_parquet

    return read_parquet(path, _COLUMNS)


def _rows(table: pa.Table) -> Iterator[_Sent]:
    import pyarrow as pa

    moments = table["admitted_at"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    columns = [table[name].to_pylist() for name in _COLUMNS if name != "admitted_at"]
    for at_ns, setting_id, outcome, prompt, completion in zip(
        moments.to_pylist(), *columns, strict=True
    ):
        known = None if prompt is None or completion is None else prompt + completion
        yield _Sent(setting_id, at_ns, 0 if outcome == "not_sent" else known)
