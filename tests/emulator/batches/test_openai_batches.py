"""OpenAI's batches, with the official client: files, lines, answers, money, accounts."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.emulator.batches.conftest import Batches, chat_line, input_file
from tests.emulator.conftest import running

ARGUMENTS = ("--cache-min-tokens", "null", "--profile", "openai", "--rpm", "9")


def test_a_batch_says_what_live_requests_say_for_half_the_price(batches: Batches) -> None:
    """The same body gives the same text and usage; the ledger knows the line, and its price."""
    lines = [chat_line(i) for i in range(5)]
    live = {
        line["custom_id"]: batches.client.chat.completions.create(**line["body"]).model_dump()
        for line in lines
    }
    batch = batches.run(lines, metadata={"run": "a"})
    assert (batch.status, batch.metadata, batch.error_file_id) == ("completed", {"run": "a"}, None)
    assert batch.request_counts.model_dump() == {"total": 5, "completed": 5, "failed": 0}
    rows = batches.rows(batch.output_file_id)
    assert [row["custom_id"] for row in rows] == list(live)
    for row in rows:
        body = row["response"]["body"]
        assert (row["response"]["status_code"], row["error"]) == (200, None)
        expected = live[row["custom_id"]]
        assert (
            body["choices"][0]["message"]["content"]
            == (expected["choices"][0]["message"]["content"])
        )
        assert body["usage"]["total_tokens"] == expected["usage"]["total_tokens"]
    ledger = batches.server.ledger()
    paid = [entry for entry in ledger if entry["batch_id"] == batch.id]
    assert [entry["batch_custom_id"] for entry in paid] == list(live)
    sent = [hashlib.sha256(json.dumps(line["body"]).encode()).hexdigest() for line in lines]
    assert [entry["body_sha256"] for entry in paid] == sent
    full = [entry for entry in ledger if entry["batch_id"] is None]
    assert [Decimal(entry["billed_usd"]) * 2 for entry in paid] == [
        Decimal(entry["billed_usd"]) for entry in full
    ]


def test_the_rate_limits_of_live_requests_do_not_hold_batches(batches: Batches) -> None:
    """More lines than requests a minute: all are answered."""
    assert batches.run([chat_line(i) for i in range(30)]).request_counts.completed == 30


def test_the_responses_api_has_batches(batches: Batches) -> None:
    """Lines of the other protocol are answered by its endpoint."""
    body = {"model": "qwen-plus", "input": "Question", "temperature": 0}
    live = batches.server.client.post(f"{batches.server.base_url}/responses", json=body)
    assert live.status_code == 200
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body}
    file = batches.client.files.create(file=("a.jsonl", input_file([line])), purpose="batch")
    batch = batches.ended(
        batches.client.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
    )
    (row,) = batches.rows(batch.output_file_id)
    text = row["response"]["body"]["output"][0]["content"][0]["text"]
    assert text == live.json()["output"][0]["content"][0]["text"]


def _bad(**changes: Any) -> bytes:
    return input_file([chat_line(0), chat_line(1, **changes)])


@pytest.mark.parametrize(
    ("content", "code", "line", "param"),
    [
        (b"\n", "empty_file", None, None),
        (input_file([chat_line(0)]) + b"{]\n", "invalid_json_line", 2, None),
        (input_file([chat_line(0)]) + b"[]\n", "invalid_json_line", 2, None),
        (_bad(custom_id="line-0"), "duplicate_custom_id", 2, "custom_id"),
        (_bad(custom_id=None), "missing_required_parameter", 2, "custom_id"),
        (_bad(custom_id=7), "invalid_type", 2, "custom_id"),
        (_bad(body="x"), "invalid_type", 2, "body"),
        (_bad(method="GET"), "invalid_method", 2, "method"),
        (_bad(url="/v1/responses"), "invalid_url", 2, "url"),
        (_bad(body={**chat_line(1)["body"], "model": "b"}), "mismatched_model", 2, "body.model"),
        (b"\xff\xfe", "invalid_json_line", 1, None),
    ],
)
def test_a_file_that_cannot_run_fails_with_its_line(
    batches: Batches, content: bytes, code: str, line: int | None, param: str | None
) -> None:
    """The batch is created, then failed, with code, line and parameter; nothing is served."""
    before = len(batches.server.ledger())
    batch = batches.create(content)
    assert batch.status == "validating"
    batch = batches.ended(batch)
    assert (batch.status, batch.request_counts.total) == ("failed", 0)
    assert batch.failed_at is not None
    fault = batch.errors.data[0]
    assert (fault.code, fault.line, fault.param, bool(fault.message)) == (code, line, param, True)
    assert len(batches.server.ledger()) == before


def test_a_line_that_the_endpoint_refuses_is_in_the_error_file(batches: Batches) -> None:
    """Its status and body are those of a live request; the others are answered."""
    streamed = {**chat_line(1)["body"], "stream": True}
    wrong = {**chat_line(2)["body"], "temperature": "hot"}
    batch = batches.run([chat_line(0), chat_line(1, body=streamed), chat_line(2, body=wrong)])
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == (
        "completed",
        1,
        2,
    )
    rows = batches.rows(batch.error_file_id)
    assert [row["custom_id"] for row in rows] == ["line-1", "line-2"]
    for row in rows:
        assert (row["response"]["status_code"], row["error"]) == (400, None)
        assert row["response"]["body"]["error"]["type"] == "invalid_request_error"


def test_another_key_sees_nothing(batches: Batches) -> None:
    """Files and batches of another account are 404, and in no list."""
    batch = batches.run([chat_line(0)])
    other = Batches(batches.server, "key-b").client
    with other:
        calls: list[Any] = [
            lambda: other.batches.retrieve(batch.id),
            lambda: other.batches.cancel(batch.id),
            lambda: other.files.retrieve(batch.input_file_id),
            lambda: other.files.content(batch.output_file_id),
            lambda: other.files.delete(batch.output_file_id),
            lambda: other.batches.create(
                input_file_id=batch.input_file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            ),
        ]
        for call in calls:
            with pytest.raises(openai.NotFoundError):
                call()
        assert (other.batches.list().data, other.files.list().data) == ([], [])
    assert batches.rows(batch.output_file_id)


def test_lists_come_in_pages_newest_first(launch: Any) -> None:
    """``after`` and ``limit``, as the client pages by itself."""
    with launch("--profile", "openai") as server, Batches(server).client as client:
        helper = Batches(server)
        created = [helper.create(input_file([chat_line(0)])).id for _ in range(5)]
        assert [batch.id for batch in client.batches.list(limit=2)] == created[::-1]
        page = client.batches.list(limit=2)
        assert (len(page.data), page.has_more) == (2, True)
        with pytest.raises(openai.BadRequestError, match="limit"):
            client.batches.list(limit=101)
        with pytest.raises(openai.BadRequestError, match="after"):
            client.batches.list(after="batch_nobody")


def test_files_are_listed_read_and_deleted(batches: Batches) -> None:
    """A file is its bytes; a deleted one is gone."""
    content = input_file([chat_line(0)])
    client = batches.client
    file = client.files.create(file=("a.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename, file.purpose) == (len(content), "a.jsonl", "batch")
    assert file.expires_at == file.created_at + 30 * 86_400
    assert client.files.content(file.id).content == content
    assert next(iter(client.files.list(purpose="batch", limit=1))).id == file.id
    assert client.files.delete(file.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_bad_call_is_refused(batches: Batches) -> None:
    """Wrong file names, purposes, endpoints, windows and metadata are 400s that name the field."""
    client = batches.client
    with pytest.raises(openai.BadRequestError, match="jsonl"):
        client.files.create(file=("a.txt", b"{}"), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.files.create(file=("a.jsonl", b"{}"), purpose="fun")  # type: ignore[arg-type]
    answer = batches.server.client.post(f"{batches.server.base_url}/files", json={})
    assert answer.status_code == 400
    file = client.files.create(file=("a.jsonl", input_file([chat_line(0)])), purpose="batch")
    good: dict[str, Any] = {
        "input_file_id": file.id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    for change, named in (
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(i): "v" for i in range(17)}}, "metadata"),
        ({"extra_body": {"colour": "red"}}, "colour"),
    ):
        with pytest.raises(openai.BadRequestError, match=named):
            client.batches.create(**{**good, **change})


def test_a_finished_batch_cannot_be_canceled(batches: Batches) -> None:
    """OpenAI answers 409 and names the status."""
    batch = batches.run([chat_line(0)])
    with pytest.raises(openai.ConflictError, match="'completed'"):
        batches.client.batches.cancel(batch.id)


def test_a_required_key_is_required() -> None:
    """Batches are behind the key that chat completions need."""
    with running("--require-key", "key-a") as server:
        assert Batches(server, "key-a").run([chat_line(0)]).request_counts.completed == 1
        with pytest.raises(openai.AuthenticationError):
            Batches(server, "key-b").client.batches.list()
