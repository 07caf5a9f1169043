"""Endpoints that want more than a bearer key: a deployment in the path, a query, own headers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalharness.cli import main
from tests.end_to_end.test_secrets import clean, traces

KEY = "canary-azure-0123456789abcdef"
GATEWAY = "Token canary-gateway-aBcDeFgHiJ"


class Azure:
    """Answers as a classic deployment does; what it is asked wrongly it refuses, echoing all."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.paths.append(self.path)
                right = self.headers.get("api-key") == KEY
                right &= self.headers.get("x-gateway") == GATEWAY
                right &= self.headers.get("authorization") is None
                status, answer = (200, outer.answer(body)) if right else (401, {})
                if len(outer.paths) == 1:
                    status, answer = 422, {"error": {"message": str(self.headers)}}
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A completion that names the model asked for."""
        message = {"role": "assistant", "content": "hello"}
        return {
            "id": "x", "object": "chat.completion", "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }  # fmt: skip

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def azure() -> Iterator[Azure]:
    server = Azure()
    yield server
    server.close()


@pytest.mark.parametrize("transport", ["auto", "reqwest", "httpx"])
def test_two_deployments_behind_a_gateway(
    azure: Azure,
    transport: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each model has its own path; query and headers are right, and no secret stays anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_GATEWAY", GATEWAY)
    Path("rows.jsonl").write_text(json.dumps({"id": "a", "prompt": "x"}) + "\n")
    code = main([
        "run", "name=r", "provider=azure_classic",
        f"provider.base_url='{azure.url}/openai/deployments/{{model}}'",
        "provider.query.api-version=2024-10-21", "provider.secret_headers.X-Gateway=MY_GATEWAY",
        "dataset.path=rows.jsonl", "sweep.model=[one,two]", "repeats=2", f"transport={transport}",
        "limits.concurrency=1", "limits.max_attempts=1",
    ])  # fmt: skip
    out = "".join(capfd.readouterr())
    assert code == 1, out  # the first request was refused, to see what is kept of it
    wanted = {
        f"/openai/deployments/{name}/chat/completions?api-version=2024-10-21"
        for name in ("one", "two")
    }
    assert set(azure.paths) == wanted
    assert len(azure.paths) == 4
    for secret in (KEY, GATEWAY, GATEWAY.split()[1]):
        clean(out, secret)
        assert traces(tmp_path, secret) == []
    assert "MY_GATEWAY" in Path("results/r/config.yaml").read_text()
