"""What the driver knows of a lost worker's trials, and who has what: without Ray."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from evalharness.distributed.backlog import add_attempts
from evalharness.distributed.leases import FILE, JournalLocation, LeaseLedger
from evalharness.distributed.messages import Lease
from evalharness.distributed.shard_board import Shard
from evalharness.errors import StorageError
from evalharness.records import AttemptResult, Outcome
from evalharness.store.folder import durable_files
from evalharness.store.journal.crash_recovery import UnfinishedTrial
from tests.store.sample_run import result


def of(outcome: Outcome, attempt: int) -> AttemptResult:
    made = result(0, attempt, final=False)
    return msgspec.structs.replace(made, reply=msgspec.structs.replace(made.reply, outcome=outcome))


def test_attempts_of_others_are_counted_over_those_of_earlier_sessions() -> None:
    """Numbers used, those that left, and those in doubt are three counts; none is another."""
    known = UnfinishedTrial(attempts=3, sent=2, in_doubt=1)
    more = [of(Outcome.REJECTED, 3), of(Outcome.NOT_SENT, 4), of(Outcome.IN_DOUBT, 5)]
    assert add_attempts(more, known) == UnfinishedTrial(attempts=5, sent=3, in_doubt=2)
    assert known == UnfinishedTrial(attempts=3, sent=2, in_doubt=1)
    assert add_attempts(more[1:], None) == UnfinishedTrial(attempts=5, sent=1, in_doubt=1)


def test_a_line_of_the_ledger_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """A kill while a line was written: the next session writes on, and all it writes is read."""
    ledger = LeaseLedger(tmp_path, "plan")
    ledger.register_worker("worker-0001", JournalLocation("node", "/one"))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"worker":"worker-0001","sh')
    ledger = LeaseLedger(tmp_path, "plan")
    ledger.record_leases([Lease(1, "worker-0001", Shard(0, 8))])
    ledger.register_worker("worker-0002", JournalLocation("node", "/two"))
    read = LeaseLedger(tmp_path, "plan")
    assert read.journals == {
        "worker-0001": JournalLocation("node", "/one"), "worker-0002": JournalLocation("node", "/two"),
    }  # fmt: skip
    assert read.shards == {"worker-0001": [Shard(0, 8)]}


def test_a_ledger_whose_first_line_was_cut_off_still_says_its_plan(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"pla')
    LeaseLedger(tmp_path, "plan").register_worker("worker-0001", JournalLocation("node", "/one"))
    with pytest.raises(StorageError, match="another plan"):
        LeaseLedger(tmp_path, "other")


def test_a_shard_for_a_worker_that_is_settled_is_not_noted(tmp_path: Path) -> None:
    """Its ledger may be gone already: it must not come back without its plan."""
    ledger = LeaseLedger(tmp_path, "plan")
    ledger.register_worker("worker-0001", JournalLocation("node", "/one"))
    ledger.close_worker("worker-0001")
    ledger.record_leases([Lease(1, "worker-0001", Shard(0, 8))])
    assert ledger.shards == {}
    assert not (tmp_path / FILE).exists()


def test_one_worker_begins_while_another_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes with the last worker; one whose line is just written is not overlooked."""
    ledger = LeaseLedger(tmp_path, "plan")
    ledger.register_worker("worker-0001", JournalLocation("node", "/one"))
    settling = threading.Thread(target=ledger.close_worker, args=("worker-0001",))

    def settle_meanwhile(folder: Path) -> None:
        monkeypatch.undo()
        settling.start()
        settling.join(0.2)  # it waits for us
        durable_files.sync_folder(folder)

    monkeypatch.setattr(durable_files, "sync_folder", settle_meanwhile)
    ledger.register_worker("worker-0002", JournalLocation("node", "/two"))
    settling.join()
    read = LeaseLedger(tmp_path, "plan")
    assert read.journals == ledger.journals == {"worker-0002": JournalLocation("node", "/two")}
