"""Batch endpoints of both forms on a real socket, with what a test wants to go wrong."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


def answer_of(body: Json) -> Json:
    """A chat completion that repeats the last message."""
    text = body["messages"][-1]["content"]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": f"echo {text}"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def message_of(body: Json) -> Json:
    """The same in Anthropic's form."""
    text = body["messages"][-1]["content"]
    text = text if isinstance(text, str) else text[0]["text"]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": f"echo {text}"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }


@dataclass
class Provider:
    """What the provider has, and how it behaves.

    Attributes:
        calls: every call so far, as ``POST /v1/files``.
        batches: by id, with ``lines`` (the requests) and ``polls``.
        polls: looks at a batch until it has ended.
        result: turns a request line into a line of results; None leaves it out.
        extra: further lines of results.
        before: is called with each call before it is served; true drops its answer unserved.
        after: the same, when it was served.
        status: of a batch that has ended.
        page, oldest_first: how batches are listed.
    """

    calls: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, Json] = field(default_factory=dict)
    polls: int = 2
    result: Callable[[Json, Json], Json | bytes | None] | None = None
    extra: list[bytes] = field(default_factory=list)
    before: Callable[[str], bool] = lambda _: False
    after: Callable[[str], bool] = lambda _: False
    status: str = "completed"
    errors: list[Json] = field(default_factory=list)
    refuse: dict[str, tuple[int, Json]] = field(default_factory=dict)
    keeps_metadata: bool = True
    page: int = 100
    oldest_first: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bought(self) -> list[str]:
        """The names of the requests of every batch, without what makes them unique."""
        return [line["custom_id"] for b in self.batches.values() for line in b["lines"]]

    def serve(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer a call."""
        key = f"{method} {path.partition('?')[0]}"
        for pattern, (status, content) in self.refuse.items():
            if re.fullmatch(pattern, key):
                return status, json.dumps(content).encode()
        if key == "POST /v1/files":
            name = f"file-{len(self.files)}"
            self.files[name] = body.split(b"\r\n\r\n", 2)[2].rsplit(b"\r\n--", 1)[0]
            return _ok({"id": name, "object": "file", "purpose": "batch"})
        if key == "POST /v1/batches":
            return _ok(self._create(json.loads(body)))
        if key == "POST /v1/messages/batches":
            return _ok(self._create_messages(json.loads(body)))
        if key == "POST /v1/chat/completions":
            self.batches.setdefault("live", {"lines": []})["lines"].append(
                {"custom_id": "live", "body": json.loads(body)}
            )
            return _ok(answer_of(json.loads(body)))
        if key in ("GET /v1/batches", "GET /v1/messages/batches"):
            known = [self._shown(b) for b in self.batches.values() if "id" in b]
            known = known if self.oldest_first else known[::-1]
            after = re.search(r"after(?:_id)?=([^&]+)", path)
            start = 0 if after is None else [b["id"] for b in known].index(after[1]) + 1
            more = len(known) > start + self.page
            for batch in self.batches.values():
                batch["polls"] = batch.get("polls", 0) + 1
            return _ok({"data": known[start : start + self.page], "has_more": more})
        if match := re.fullmatch(r"GET /v1/files/(.+)/content", key):
            return 200, self.files[match[1]]
        if match := re.fullmatch(r"GET /v1/messages/batches/(.+)/results", key):
            return 200, self._results(self.batches[match[1]])
        return self._serve_batch(key)

    def _serve_batch(self, key: str) -> tuple[int, bytes]:
        if match := re.fullmatch(r"(GET|POST) /v1/(?:messages/)?batches/([^/]+)(/cancel)?", key):
            batch = self.batches.get(match[2])
            if batch is None:
                return 404, json.dumps({"error": {"message": "no such batch"}}).encode()
            if match[3]:
                batch["cancelled"] = True
            batch["polls"] += match[1] == "GET"
            return _ok(self._shown(batch))
        return 404, b'{"error": {"message": "no such address"}}'

    def _create(self, wanted: Json) -> Json:
        lines = [json.loads(line) for line in self.files[wanted["input_file_id"]].splitlines()]
        batch: Json = {"id": f"batch-{len(self.batches)}", "lines": lines, "polls": 0, **wanted}
        batch["created_at"] = int(time.time())
        self.batches[batch["id"]] = batch
        return self._shown(batch)

    def _create_messages(self, wanted: Json) -> Json:
        batch: Json = {"id": f"msgbatch-{len(self.batches)}", "lines": wanted["requests"]}
        batch |= {"polls": 0, "messages": True, "created_at": int(time.time())}
        self.batches[batch["id"]] = batch
        return self._shown(batch)

    def _shown(self, batch: Json) -> Json:
        ended = batch["polls"] >= self.polls or batch.get("cancelled", False)
        if batch.get("messages"):
            return {
                "id": batch["id"],
                "type": "message_batch",
                "processing_status": "ended" if ended else "in_progress",
                "request_counts": {
                    "processing": 0 if ended else len(batch["lines"]),
                    "succeeded": len(batch["lines"]) if ended else 0,
                    "errored": 0, "canceled": 0, "expired": 0,
                },
                "created_at": "2026-12-01T00:00:00Z" if batch.get("old") else _iso(batch),
                "ended_at": _iso(batch) if ended else None,
                "archived_at": _iso(batch) if batch.get("archived") else None,
                "results_url": "https://elsewhere.invalid/results" if ended else None,
            }  # fmt: skip
        status = "in_progress"
        if ended:
            status = "cancelled" if batch.get("cancelled") else self.status
        shown: Json = {
            "id": batch["id"],
            "object": "batch",
            "status": status,
            "endpoint": batch["endpoint"],
            "input_file_id": batch["input_file_id"],
            "created_at": batch["created_at"],
            "metadata": batch["metadata"] if self.keeps_metadata else None,
            "request_counts": {"total": len(batch["lines"]), "completed": 0, "failed": 0},
        }
        if ended:
            shown["completed_at"] = batch["created_at"] + 60
            shown["errors"] = {"data": self.errors}
            if status != "failed":
                name = f"out-{batch['id']}"
                self.files.setdefault(name, self._results(batch))
                shown["output_file_id"] = name
        return shown

    def _results(self, batch: Json) -> bytes:
        lines: list[bytes] = []
        for line in batch["lines"]:
            result = (self.result or _served)(line, batch)
            if result is not None:
                lines.append(result if isinstance(result, bytes) else json.dumps(result).encode())
        return b"\n".join([*reversed(lines), *self.extra]) + b"\n"


def _served(line: Json, batch: Json) -> Json | None:
    if batch.get("cancelled"):
        return None
    return served(line)


def served(line: Json) -> Json:
    """The line of results of a request that was answered."""
    if "params" in line:
        message = message_of(line["params"])
        return {
            "custom_id": line["custom_id"], "result": {"type": "succeeded", "message": message}
        }  # fmt: skip
    body = answer_of(line["body"])
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "br", "custom_id": line["custom_id"], "response": response, "error": None}


def expired(line: Json) -> Json:
    """The line of a request that ran out of time."""
    if "params" in line:
        return {"custom_id": line["custom_id"], "result": {"type": "expired"}}
    error = {"code": "batch_expired", "message": "This request could not be executed in time."}
    return {"id": "br", "custom_id": line["custom_id"], "response": None, "error": error}


def nth_call(call: str, number: int, act: Callable[[], object]) -> Callable[[str], bool]:
    """Do something at the n-th call that begins so, and drop its answer."""
    counter = itertools.count(1)

    def watch(current: str) -> bool:
        if not current.startswith(call) or next(counter) != number:
            return False
        act()
        return True

    return watch


def _ok(value: Json) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


def _iso(batch: Json) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch["created_at"]))


@contextmanager
def serving(provider: Provider) -> Iterator[str]:
    """Serve on a free port for the length of the block; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            call = f"{method} {self.path.partition('?')[0]}"
            if provider.before(call):
                return
            with provider.lock:
                provider.calls.append(call)
                provider.headers.append({k.lower(): v for k, v in self.headers.items()})
                status, content = provider.serve(method, self.path, body)
            if provider.after(call):
                return
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
