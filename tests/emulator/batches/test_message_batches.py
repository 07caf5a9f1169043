"""Anthropic's message batches, with the official client."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.emulator.conftest import Server, running


def _request(i: int, **changes: Any) -> Any:
    params = {
        "model": "claude",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": f"What is {i} plus {i}?"}],
    }
    return {"custom_id": f"line-{i}", "params": params, **changes}


REQUESTS = [_request(i) for i in range(20)]


def _client(server: Server, key: str = "key-a") -> Any:
    return anthropic.Anthropic(base_url=server.root, api_key=key, max_retries=0)


def _ended(client: Any, batch: Any) -> Any:
    while batch.processing_status != "ended":
        batch = client.messages.batches.retrieve(batch.id)
    return batch


def _results(client: Any, batch: Any) -> dict[str, Any]:
    return {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}


def test_a_batch_says_what_live_requests_say(answers: Path) -> None:
    """The same messages, half the price, the ledger's mark; what fails is errored."""
    dials = ("--cache-min-tokens", "null", "--batch-fail", "0.3", "--batch-shuffle")
    with running("--answers", str(answers), *dials) as server, _client(server) as client:
        live = [client.messages.create(**request["params"]) for request in REQUESTS]
        batch = _ended(client, client.messages.batches.create(requests=REQUESTS))
        results = _results(client, batch)
        counts = Counter(result.type for result in results.values())
        assert counts.keys() == {"succeeded", "errored"}
        none = {"processing": 0, "canceled": 0, "expired": 0}
        assert batch.request_counts.model_dump() == none | counts
        for request, answer in zip(REQUESTS, live, strict=True):
            result = results[request["custom_id"]]
            if result.type == "succeeded":
                assert result.message.content == answer.content
                assert result.message.usage == answer.usage
            else:
                assert result.error.error.type == "api_error"
        billed = [e for e in server.ledger() if e["batch_id"] == batch.id and e["billed"]]
        assert len(billed) == counts["succeeded"]
        paid = {e["body_sha256"]: Decimal(e["billed_usd"]) for e in billed}
        full = {e["completion_tokens"]: e["billed_usd"] for e in server.ledger()[:20]}
        assert all(
            2 * paid[e["body_sha256"]] == Decimal(full[e["completion_tokens"]]) for e in billed
        )


def test_canceled_and_expired_lines_are_never_served() -> None:
    """A canceled batch ends; so does one whose lines expire."""
    with running("--batch-delay-s", "3600") as server, _client(server) as client:
        batch = client.messages.batches.create(requests=REQUESTS)
        assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 20)
        assert batch.results_url is None
        with pytest.raises(anthropic.AnthropicError, match="results_url"):
            client.messages.batches.results(batch.id)
        with pytest.raises(anthropic.BadRequestError, match="cancel"):
            client.messages.batches.delete(batch.id)
        canceling = client.messages.batches.cancel(batch.id)
        assert canceling.cancel_initiated_at is not None
        batch = _ended(client, canceling)
        assert (batch.request_counts.canceled, batch.request_counts.processing) == (20, 0)
        assert {r.type for r in _results(client, batch).values()} == {"canceled"}
        with pytest.raises(anthropic.BadRequestError):
            client.messages.batches.cancel(batch.id)
        assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(batch.id)
        assert server.ledger() == []
    with running("--batch-expire", "1") as server, _client(server) as client:
        batch = _ended(client, client.messages.batches.create(requests=REQUESTS))
        assert batch.request_counts.expired == 20
        assert {r.type for r in _results(client, batch).values()} == {"expired"}


def test_pages_go_both_ways() -> None:
    """Newest first, by ``after_id`` and by ``before_id``."""
    with running() as server, _client(server) as client:
        calls = client.messages.batches
        created = [calls.create(requests=REQUESTS[:1]).id for _ in range(5)][::-1]
        assert [batch.id for batch in calls.list(limit=2)] == created
        assert [batch.id for batch in calls.list(limit=2, before_id=created[3]).data] == created[
            1:3
        ]
        with pytest.raises(anthropic.BadRequestError):
            calls.list(limit=1001)


def test_another_key_sees_nothing() -> None:
    """A batch of another account is a 404."""
    with running() as server, _client(server) as client, _client(server, "key-b") as other:
        batch = client.messages.batches.create(requests=REQUESTS[:1])
        for call in (other.messages.batches.retrieve, other.messages.batches.cancel):
            with pytest.raises(anthropic.NotFoundError):
                call(batch.id)
        assert other.messages.batches.list().data == []


@pytest.mark.parametrize(
    ("requests", "named"),
    [
        ([], "at least one"),
        ([_request(0), _request(0)], "not unique"),
        ([_request(0, custom_id="a b")], "pattern"),
        ([_request(0, params=[])], "params"),
        ([_request(i) for i in range(4)], "at most 3"),
    ],
)
def test_a_bad_call_is_refused_at_once(requests: list[Any], named: str) -> None:
    """A 400 in Anthropic's words; nothing is created."""
    with running("--batch-max-requests", "3") as server, _client(server) as client:
        with pytest.raises(anthropic.BadRequestError, match=named) as caught:
            client.messages.batches.create(requests=requests)
        assert caught.value.body["error"]["type"] == "invalid_request_error"
        assert client.messages.batches.list().data == []


def test_a_large_call_is_refused() -> None:
    """413 above the limit of bytes."""
    with running("--batch-max-bytes", "1000") as server, _client(server) as client:
        with pytest.raises(anthropic.RequestTooLargeError):
            client.messages.batches.create(requests=REQUESTS)
        assert client.messages.batches.list().data == []


def test_a_lost_create_is_found_in_the_list() -> None:
    """Its connection is reset, and the batch is there."""
    with running("--batch-lost-create", "1") as server, _client(server) as client:
        with pytest.raises(anthropic.APIConnectionError):
            client.messages.batches.create(requests=REQUESTS)
        assert len(client.messages.batches.list().data) == 1
