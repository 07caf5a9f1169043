"""Batches that cannot be seen, found or cancelled: the others go on, and nothing hangs."""

from __future__ import annotations

import json

from evalharness.store.folder.run_folder import MANIFEST
from evalharness.store.journal.batch_files import BatchStage, read_states
from tests.batch.conftest import BatchRun
from tests.batch.server import nth_call

CREATE, LIST = "POST /v1/batches", "GET /v1/batches"
TWO = "+provider.profile.batch.max_requests=6"
NO_BATCH = (404, {"error": {"message": "no such batch"}})


def _leave_two(run: BatchRun) -> None:
    """Two batches are under way, and nobody waits for them."""
    run.provider.polls = 10**9
    run.provider.after = nth_call("GET /v1/batches/", 2, run.interrupt)
    assert run(TWO).returncode == 130
    assert len(run.provider.batches) == 2
    run.provider.after = lambda _: False


def test_a_batch_that_is_gone_does_not_block_others(run: BatchRun) -> None:
    """The answers of the other are fetched first; then the command says what is gone, and ends."""
    _leave_two(run)
    run.provider.refuse = {"GET /v1/batches/batch-0": NO_BATCH}
    run.provider.polls = 10**9 + 4  # the other ends after some more looks
    for batch in run.provider.batches.values():
        batch["polls"] = 10**9
    ended = run(TWO)
    assert ended.returncode == 2, ended.stderr
    assert "the other batches are waited for, and nothing new is sent" in ended.stderr
    assert "batch batch-0, with 6 requests of this run, is not at" in ended.stderr
    assert "goes on at" not in ended.stderr
    assert len(run.rows("records")) == 6
    assert len(run.provider.batches) == 2
    given_up = run(TWO, "--cancel")
    assert given_up.returncode == 0, given_up.stderr
    assert "0 batches of this run cancelled, 1 that cannot be seen given up" in given_up.stderr
    doubt = [a for a in run.rows("attempts") if a["outcome"] == "in_doubt"]
    assert len(doubt) == 6


def test_cancel_goes_on_where_one_gets_no_answer(run: BatchRun) -> None:
    """Each is asked for until the provider answers, and only those that it takes are counted."""
    _leave_two(run)
    run.provider.refuse = {
        "POST /v1/batches/batch-0/cancel": (503, {"error": {"message": "maintenance"}})
    }
    third = nth_call("GET /v1/batches/batch-0", 3, run.provider.refuse.clear)
    run.provider.before = lambda call: third(call) and False
    run.provider.result = lambda line, _: None
    cancelled = run(TWO, "--cancel", "limits.max_attempts=1")
    assert cancelled.returncode == 0, cancelled.stderr
    assert "it is cancelled later" in cancelled.stderr
    assert "2 batches of this run cancelled, as --cancel asks" in cancelled.stderr
    assert {a["outcome"] for a in run.rows("attempts")} == {"not_sent"}


def test_a_batch_that_is_not_cancelled_goes_on(run: BatchRun) -> None:
    """The provider refuses: that is said, and its answers can be fetched."""
    _leave_two(run)
    run.provider.refuse = {
        "POST /v1/batches/batch-0/cancel": (403, {"error": {"message": "not allowed"}})
    }
    refused = run(TWO, "--cancel")
    assert refused.returncode != 0
    assert "batch batch-0 goes on: openai_compatible does not cancel it" in refused.stderr
    run.provider.refuse, run.provider.polls = {}, 0
    done = run(TWO)
    assert done.returncode == 0, done.stderr
    assert len(run.rows("records")) == 12


def test_ctrl_c_while_it_cancels(run: BatchRun) -> None:
    """The run is closed as always, and the hint says what the command does with and without."""
    _leave_two(run)
    run.provider.refuse = {
        "POST /v1/batches/.*/cancel": (503, {"error": {"message": "maintenance"}})
    }
    run.provider.before = nth_call("POST /v1/batches/batch-0/cancel", 1, run.interrupt)
    stopped = run(TWO, "--cancel")
    assert stopped.returncode == 130, stopped.stderr
    assert "with --cancel the command goes on cancelling" in stopped.stderr
    assert "12 trials left; to go on: evalharness run" in stopped.stderr
    assert json.loads((run.root / MANIFEST).read_bytes())["status"] == "waiting"


def test_a_list_that_cannot_be_read(run: BatchRun) -> None:
    """Nobody knows whether a batch exists: nothing is sent again, until --cancel gives it up."""
    run.provider.after = nth_call(CREATE, 1, run.kill)
    assert run().returncode == -9
    run.provider.after = lambda _: False
    run.provider.refuse = {LIST: (405, {"error": {"message": "method not allowed"}})}
    ended = run()
    assert ended.returncode == 2, ended.stderr
    assert "nobody knows whether it exists" in ended.stderr
    assert "--cancel gives its requests up" in ended.stderr
    assert len(run.provider.batches) == 1
    given_up = run("--cancel")
    assert given_up.returncode == 0, given_up.stderr
    assert {a["outcome"] for a in run.rows("attempts")} == {"in_doubt"}
    assert {s.phase for s in read_states(run.root)} == {BatchStage.SETTLED}


def test_killed_after_the_last_result(run: BatchRun) -> None:
    """Everything is recorded: the next command settles the batch instead of waiting for it."""
    assert run().returncode == 0
    [state] = read_states(run.root)
    state.phase = BatchStage.WAITING  # as it was on disk before its last word
    state.save(run.root)
    assert "1 batch, 12 requests" in run.command("list").stdout
    done = run()
    assert (done.returncode, "nothing to send" in done.stderr) == (0, True)
    assert "1 batch, 12 requests" not in run.command("list").stdout


def test_waiting_requests_are_not_called_unsent(run: BatchRun) -> None:
    """Neither when the command ends, nor when it begins again."""
    _leave_two(run)
    run.provider.after = nth_call("GET /v1/batches/", 1, run.interrupt)
    stopped = run(TWO)
    assert stopped.returncode == 130
    assert "12 requests of this run are in batches at the provider already" in stopped.stderr
    assert "0 requests answered or lost, 0 of them retries, 12 wait in batches" in stopped.stderr
