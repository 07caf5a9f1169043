"""What the emulator tests share: the server as a real child process, and clients for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

MESSAGES = [{"role": "user", "content": "Hello"}]


class Server:
    """A running emulator and a client for it."""

    def __init__(self, process: subprocess.Popen[bytes], base_url: str) -> None:
        self.process = process
        self.base_url = base_url
        self.root = base_url.removesuffix("/v1")
        self.client = httpx.Client(timeout=30, trust_env=False)

    @property
    def port(self) -> int:
        return int(self.root.rpartition(":")[2])

    def post(self, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        """Send a chat completion; model and messages are filled in."""
        whole = {"model": "qwen-plus", "messages": MESSAGES, **body}
        return self.client.post(f"{self.base_url}/chat/completions", json=whole, headers=headers)

    def text(self, **body: Any) -> str:
        answer = self.post(**body)
        assert answer.status_code == 200, answer.text
        return answer.json()["choices"][0]["message"]["content"]

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(self.root + path, params=params)

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.get("/_emulator/ledger").text.splitlines()]

    def stats(self) -> dict[str, Any]:
        return self.get("/_emulator/stats").json()


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """An emulator on a free port for the length of the block."""
    command = [sys.executable, "-m", "evalharness.emulator", "--exit-with-parent"]
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert ready["ready"] is True
            server = Server(process, ready["base_url"])
            with server.client:
                yield server
        finally:
            process.stdin.close()
            process.wait(30)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One emulator a module; a module's ``ARGUMENTS`` are its command line."""
    with running(*getattr(request.module, "ARGUMENTS", ())) as server:
        yield server


@pytest.fixture(scope="session")
def launch() -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """Start an emulator with other options than the module's."""
    return running


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Forty known questions."""
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"What is {i} plus {i}?", "answer": str(2 * i)} for i in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path
