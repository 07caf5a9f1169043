"""What the batch tests share: the official clients, and input files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.emulator.conftest import Server

CHAT = "/v1/chat/completions"
TERMINAL = ("completed", "failed", "expired", "cancelled")


def chat_line(i: int, **changes: Any) -> dict[str, Any]:
    """One line of an input file; its answer is decided by a seed."""
    body = {
        "model": "qwen-plus",
        "messages": [{"role": "user", "content": f"Question {i}"}],
        "seed": i + 1,
        "max_tokens": 20,
    }
    return {"custom_id": f"line-{i}", "method": "POST", "url": CHAT, "body": body, **changes}


def input_file(lines: list[Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


class Batches:
    """OpenAI's client for a server, with the steps that every test takes."""

    def __init__(self, server: Server, key: str = "key-a") -> None:
        self.server = server
        self.client = openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)

    def create(self, content: bytes, **options: Any) -> Any:
        file = self.client.files.create(file=("in.jsonl", content), purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="24h", **options
        )

    def ended(self, batch: Any) -> Any:
        """The batch once it is over: asked again and again, as a client does."""
        while batch.status not in TERMINAL:
            batch = self.client.batches.retrieve(batch.id)
        return batch

    def run(self, lines: list[Any], **options: Any) -> Any:
        return self.ended(self.create(input_file(lines), **options))

    def rows(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        return [json.loads(line) for line in self.client.files.content(file_id).text.splitlines()]


@pytest.fixture(scope="module")
def batches(server: Server) -> Iterator[Batches]:
    with Batches(server).client as client:
        helper = Batches(server)
        helper.client = client
        yield helper
