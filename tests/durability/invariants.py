"""What must hold of a run folder and of the emulator's ledger, whatever happened in between."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import evalharness
from evalharness.records import AttemptResult, Intent
from evalharness.store.journal.journal_format import connect_for_reading, read_entries
from evalharness.store.parts.verify import verify_folder

# What a record says, without times and attempt numbers.
CONTENT_COLUMNS = [
    "prompt_id",
    "setting_id",
    "repeat",
    "status",
    "text",
    "request_json",
    "completion_tokens",
]


def record_contents(root: Path) -> list[tuple[Any, ...]]:
    """The content of every record, in a fixed order."""
    table = evalharness.load(root).table("records", CONTENT_COLUMNS)
    return sorted(tuple(row[name] for name in CONTENT_COLUMNS) for row in table.to_pylist())


def every_visible_parquet_opens(root: Path) -> int:
    """Read every Parquet file a reader would glob, checksums verified; how many there are."""
    paths = sorted(root.rglob("*.parquet"))
    for path in (p for p in paths if not p.name.startswith(".")):
        pq.read_table(path, page_checksum_verification=True)
    return len(paths)


def recorded_requests(root: Path) -> set[str]:
    """Client request ids of the attempts whose outcome is on disk, in parts or in the journal."""
    ids: set[str] = set()
    for path in (root / "attempts").glob("part-*.parquet"):
        ids |= set(pq.read_table(path, columns=["client_request_id"])[0].to_pylist())
    ids |= {
        entry.intent.client_request_id
        for entry in journal(root)
        if isinstance(entry, AttemptResult)
    }
    return ids


def intended_requests(root: Path) -> set[str]:
    """Client request ids of the attempts that the journal says may have been sent."""
    return {entry.client_request_id for entry in journal(root) if isinstance(entry, Intent)}


def journal(root: Path) -> list[Intent | AttemptResult]:
    """The entries of the journal; none when it is not there yet."""
    db = connect_for_reading(root / "journal" / "journal.sqlite")
    if db is None:
        return []
    with closing(db):
        damage: list[Any] = []
        values = [entry.value for entry in read_entries(db, damage=damage)]
        assert not damage
    return values


def trial_of(request: dict[str, Any]) -> str:
    """The trial a request in the ledger belongs to: its id without the attempt's number."""
    return str(request["client_request_id"]).rpartition(".")[0]


def in_doubt(root: Path) -> set[str]:
    """Client request ids listed as in doubt."""
    table = evalharness.load(root).table("attempts", ["trial_id", "client_request_id", "outcome"])
    return {row["client_request_id"] for row in table.to_pylist() if row["outcome"] == "in_doubt"}


def requests_sent_twice_are_in_doubt(ledger: list[dict[str, Any]], root: Path) -> int:
    """Every request sent beside the one that became the record is in doubt; how many there are."""
    sent = Counter(request["client_request_id"] for request in ledger)
    assert max(sent.values()) == 1, "an attempt's id went out twice"
    by_trial = Counter(trial_of(request) for request in ledger)
    twice = {trial for trial, count in by_trial.items() if count > 1}
    doubted = in_doubt(root)
    assert twice <= {request.rpartition(".")[0] for request in doubted}
    return len(doubted)


def final_state_is_sound(root: Path, *, expected: list[tuple[Any, ...]], planned: int) -> None:
    """The plan exactly once, the same as without interruption, and nothing left over."""
    run = evalharness.load(root)
    keys = run.table("records", ["trial_id"])["trial_id"].to_pylist()
    assert len(keys) == len(set(keys)) == planned
    assert record_contents(root) == expected
    assert run.manifest.status == "complete"
    assert run.manifest.recorded == planned
    assert sum(run.manifest.by_status.values()) == planned
    assert run.manifest.in_doubt == len(in_doubt(root))
    report = verify_folder(root)
    assert report.is_sound, report.findings
    assert report.unsealed == 0
    assert report.sealing == 0
