"""What can go wrong with a batch, by option and by seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.emulator.batches.batch_job import BatchInputError
from evalharness.emulator.batches.input_file import InputLimits, read_input_file
from tests.emulator.batches.conftest import CHAT, Batches, chat_line, input_file
from tests.emulator.conftest import running

LINES = [chat_line(i) for i in range(200)]
DIALS = (
    *("--batch-fail", "0.2", "--batch-expire", "0.2", "--batch-duplicate", "0.2"),
    *("--batch-shuffle", "--batch-unknown", "--seed", "5"),
)


def _outcome(rows: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [
        (row["custom_id"], row["error"]["code"] if row["error"] else row["response"]["status_code"])
        for row in rows
    ]


def test_the_dials_strike_lines_by_seed() -> None:
    """Each line ends once; failed and expired ones are not billed; another server does the same."""
    outcomes: list[Any] = []
    for _ in range(2):
        with running(*DIALS) as server:
            helper = Batches(server)
            batch = helper.run(LINES)
            assert batch.status == "expired"
            assert batch.expired_at is not None
            assert batch.completed_at is None
            output = _outcome(helper.rows(batch.output_file_id))
            errors = _outcome(helper.rows(batch.error_file_id))
            outcomes.append((output, errors))
            ledger = server.ledger()
    assert outcomes[0] == outcomes[1]
    ends = dict(output + errors)
    unknown = [name for name in ends if name.startswith("unknown-")]
    assert len(unknown) == 1
    assert ends.keys() - set(unknown) == {line["custom_id"] for line in LINES}
    counts = Counter(ends[line["custom_id"]] for line in LINES)
    assert counts.keys() == {200, 500, "batch_expired"}
    assert 15 < counts[500] < 65
    assert 20 < counts["batch_expired"] < 70
    doubled = [name for name, n in Counter(n for n, _ in output + errors).items() if n == 2]
    assert 20 < len(doubled) < 70
    assert [name for name, _ in output] != [line["custom_id"] for line in LINES][: len(output)]
    # A line that failed was received and refused; one that expired was never received.
    assert Counter(entry["status"] for entry in ledger) == {200: counts[200], 500: counts[500]}
    assert sum(entry["billed"] for entry in ledger) == counts[200]


def test_a_line_sent_again_draws_anew() -> None:
    """What failed in a batch does not fail in every other."""
    with running("--batch-fail", "0.5") as server:
        helper = Batches(server)
        left = LINES[:50]
        for _ in range(30):
            batch = helper.run(left)
            failed = {row["custom_id"] for row in helper.rows(batch.error_file_id)}
            left = [line for line in left if line["custom_id"] in failed]
            if not left:
                break
        assert not left


def test_a_canceled_batch_keeps_what_it_has() -> None:
    """What was served is in the output and in the ledger; the rest was never served."""
    with running("--batch-delay-s", "10") as server:
        helper = Batches(server)
        batch = helper.create(input_file(LINES[:100]))
        while not batch.request_counts.completed:
            batch = helper.client.batches.retrieve(batch.id)
        assert (batch.status, batch.output_file_id) == ("in_progress", None)
        assert helper.client.batches.cancel(batch.id).status == "cancelling"
        batch = helper.ended(batch)
        assert (batch.status, batch.completed_at) == ("cancelled", None)
        assert batch.cancelled_at >= batch.cancelling_at
        output = _outcome(helper.rows(batch.output_file_id))
        errors = _outcome(helper.rows(batch.error_file_id))
        assert len(output) == batch.request_counts.completed == len(server.ledger())
        assert {code for _, code in errors} == {"batch_cancelled"}
        assert [name for name, _ in output + errors] == [x["custom_id"] for x in LINES[:100]]


def test_a_lost_create_is_found_in_the_list() -> None:
    """The connection is reset, the batch runs, and its metadata says whose it is."""
    with running("--batch-lost-create", "1") as server:
        helper = Batches(server)
        with pytest.raises(openai.APIConnectionError):
            helper.create(input_file(LINES[:3]), metadata={"plan": "p1"})
        (batch,) = helper.client.batches.list().data
        assert batch.metadata == {"plan": "p1"}
        assert helper.ended(batch).request_counts.completed == 3
        assert len(server.ledger()) == 3


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--batch-max-requests", "2", "too_many_tasks"),
        ("--batch-max-bytes", "100", "file_too_large"),
        ("--batch-max-enqueued-tokens", "30", "token_limit_exceeded"),
    ],
)
def test_a_file_over_a_limit_fails(option: str, value: str, code: str) -> None:
    """The file as a whole is refused."""
    with running(option, value) as server:
        batch = Batches(server).run(LINES[:3])
        assert (batch.status, batch.errors.data[0].code) == ("failed", code)
        assert (batch.errors.data[0].line, server.ledger()) == (None, [])


def test_enqueued_tokens_are_those_of_running_batches() -> None:
    """A second batch waits for the first; another account does not."""
    with running("--batch-max-enqueued-tokens", "50", "--batch-delay-s", "2") as server:
        helper = Batches(server)
        first = helper.create(input_file(LINES[:1]))
        while first.status == "validating":
            first = helper.client.batches.retrieve(first.id)
        second = helper.run(LINES[1:2])
        assert (second.status, second.errors.data[0].code) == ("failed", "token_limit_exceeded")
        assert Batches(server, "key-b").create(input_file(LINES[:1])).status == "validating"
        assert helper.ended(first).status == "completed"
        assert helper.run(LINES[1:2]).status == "completed"


@pytest.mark.parametrize("fault", ["reset", "in_doubt", "invalid_utf8", "empty_body", "nan"])
def test_a_fault_of_the_endpoint_is_an_error_of_the_line(fault: str) -> None:
    """A connection that breaks and bytes that are no JSON leave one line in the error file."""
    with running() as server:
        helper = Batches(server)
        body = {**chat_line(1)["body"], "emulator_fault": fault}
        batch = helper.run([chat_line(0), chat_line(1, body=body)])
        assert _outcome(helper.rows(batch.output_file_id)) == [("line-0", 200)]
        assert _outcome(helper.rows(batch.error_file_id)) == [("line-1", "server_error")]


@given(st.lists(st.binary(max_size=60) | st.just(input_file([chat_line(0)])), max_size=4))
def test_any_bytes_are_lines_or_faults(parts: list[bytes]) -> None:
    """Hostile input is refused line by line, never a crash, and never half accepted."""
    whole = input_file([chat_line(0)]).strip()
    rows = b"\n".join(parts).rstrip().split(b"\n")
    try:
        lines = read_input_file(b"\n".join(parts), CHAT, InputLimits(9, 10_000, None))
    except BatchInputError:
        assert rows != [whole]
    else:
        assert (rows, [line.custom_id for line in lines]) == ([whole], ["line-0"])
