"""The running server: requests, money, logs, ledger, life and death."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulator.conftest import MESSAGES, Server

BODY = {"model": "qwen-plus", "messages": MESSAGES}
Launch = Callable[..., contextlib.AbstractContextManager[Server]]


def events(text: str) -> list[Any]:
    """The data of a plain event stream, without ``[DONE]``."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line, parse_float=Decimal) for line in lines[:-1]]


def test_usage_and_bill_agree_to_the_last_digit(server: Server) -> None:
    """Headers, last chunk, ledger and log state one exact price, made of the usage."""
    question = [{"role": "user", "content": "What does it cost?"}]
    whole = server.post(messages=question, seed=1, enable_thinking=True)
    usage = whole.json()["usage"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert reasoning > 0
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    expected = (
        Decimal("0.4") * usage["prompt_tokens"]
        + Decimal("1.2") * (usage["completion_tokens"] - reasoning)
        + Decimal(4) * reasoning
    ) / 1_000_000
    assert Decimal(whole.headers["x-aimlapi-usd-spent"]) == expected
    assert len(whole.headers["x-aimlapi-usd-spent"].partition(".")[2]) == 9
    assert int(whole.headers["x-aimlapi-credits-used"]) == round(expected * 2_000_000)
    row = server.ledger()[-1]
    assert (row["billed"], Decimal(row["billed_usd"])) == (True, expected)

    streamed = server.post(messages=question, seed=1, stream=True)
    last = events(streamed.text)[-1]
    assert last["meta"]["usage"]["usd_spent"] == Decimal(server.ledger()[-1]["billed_usd"])
    assert "usage" not in last
    assert "x-aimlapi-usd-spent" not in streamed.headers


def test_a_repeated_prompt_is_cached(server: Server) -> None:
    """A prompt sent before, or a conversation that continues one, is read from the cache."""
    start = [{"role": "user", "content": "A question nobody asked before"}]
    longer = [*start, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And?"}]
    cached = [
        server.post(messages=messages).json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        for messages in (start, start, longer, longer)
    ]
    first = server.post(messages=start).json()["usage"]["prompt_tokens"]
    whole = server.post(messages=longer).json()["usage"]["prompt_tokens"]
    assert cached == [0, first, first, whole]


def test_both_forms_say_the_same(server: Server) -> None:
    """The chunks of a stream, joined, are the answer in one piece, for every choice."""
    body: dict[str, Any] = {"seed": 4, "n": 3, "enable_thinking": True, "logprobs": True}
    whole = json.loads(server.post(**body).text, parse_float=Decimal)
    chunks = events(server.post(**body, stream=True, stream_options={"include_usage": True}).text)
    for choice in whole["choices"]:
        mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        for field in ("content", "reasoning_content"):
            assert "".join(c["delta"].get(field, "") for c in mine) == choice["message"][field]
        tokens = [t for c in mine if c["logprobs"] for t in c["logprobs"]["content"]]
        assert tokens == choice["logprobs"]["content"]
        reasons = [c["finish_reason"] for c in mine]
        assert reasons == [None] * (len(mine) - 1) + [choice["finish_reason"]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


@pytest.mark.parametrize(
    ("given", "kept"),
    [("run-1:a.b_C", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("é", False)],
)
def test_client_ids_are_echoed_or_dropped(server: Server, given: str, kept: bool) -> None:
    """An id of the allowed letters comes back and is remembered; another is silently dropped."""
    headers = {"x-client-request-id": given.encode("latin-1")}
    answer = server.client.post(
        f"{server.base_url}/chat/completions",
        json={"model": "m", "messages": MESSAGES},
        headers=headers,
    )
    assert answer.headers.get("x-client-request-id") == (given if kept else None)
    row = server.ledger()[-1]
    assert row["client_request_id"] == (given if kept else None)
    assert row["inference_id"] == answer.headers["x-inference-id"]


def test_the_ledger_knows_every_request_in_order(server: Server) -> None:
    """Refused requests stand in it as well, with the hash of the very bytes that came."""
    before = len(server.ledger())
    bodies = [b'{"model":"m","messages":[]}', b"not json", b'{"model":"m"}']
    for body in bodies:
        server.client.post(f"{server.base_url}/chat/completions", content=body)
    rows = server.ledger()[before:]
    assert [row["body_sha256"] for row in rows] == [hashlib.sha256(b).hexdigest() for b in bodies]
    assert [row["status"] for row in rows] == [200, 400, 400]
    assert [row["billed"] for row in rows] == [True, False, False]
    assert [row["arrival"] for row in rows] == [before + 1, before + 2, before + 3]


def test_the_ledger_file_is_complete_when_the_answer_is(launch: Launch, tmp_path: Path) -> None:
    """Whoever has an answer finds its line in the file, and the file is only ever appended to."""
    path = tmp_path / "ledger.jsonl"
    path.write_text("earlier\n")
    with launch("--ledger", str(path)) as one:
        for i in range(20):
            one.post(stream=bool(i % 2))
            lines = path.read_text().splitlines()
            assert len(lines) == i + 2
            assert json.loads(lines[-1])["arrival"] == i + 1
    assert path.read_text().startswith("earlier\n")


def test_logs_page_filter_and_order(launch: Launch) -> None:
    """``/v2/logs`` lists newest first, in pages, by status, model and time, failures at no cost."""
    with launch("--logs-rpm", "11") as one:
        for i in range(5):
            one.post(model="qwen-plus" if i % 2 else "other", seed=i + 1)
        one.post(temperature=9)
        page = one.get("/v2/logs", limit=2, offset=1).json()
        assert page["pagination"] == {"limit": 2, "offset": 1, "total": 6, "has_more": True}
        whole = one.get("/v2/logs", period="7d").json()["data"]
        assert page["data"] == whole[1:3]
        assert [row["created"] for row in whole] == sorted(
            (row["created"] for row in whole), reverse=True
        )
        ids = [row["inference_id"] for row in reversed(whole)]
        assert ids == [row["inference_id"] for row in one.ledger()]
        failed = one.get("/v2/logs", status="failed").json()["data"]
        assert [(row["cost"]["usd"], row["tokens"]["total"]) for row in failed] == [
            ("0.000000000", 0)
        ]
        mine = one.get("/v2/logs", model=["alibaba/qwen-plus", "nothing"]).json()["data"]
        assert {row["model"] for row in mine} == {"alibaba/qwen-plus"}
        assert len(mine) == 2
        old = one.get("/v2/logs", start="2020-01-01T00:00:00Z", end="2020-02-01").json()
        assert old["pagination"]["total"] == 0
        for query in (
            {"period": "93d"},
            {"start": "2020-01-01", "end": "2020-06-01"},
            {"start": "2020-01-01"},
            {"limit": "0"},
            {"status": "succeeded,failed"},
            {"limits": "3"},
        ):
            assert one.get("/v2/logs", **query).status_code == 400
        assert one.get("/v2/logs").status_code == 429


def test_logs_come_late_when_told_to(launch: Launch) -> None:
    """With ``logs_delay_s`` a fresh request is not listed yet."""
    with launch("--logs-delay-s", "3600") as one:
        one.post()
        assert one.get("/v2/logs").json()["data"] == []


@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        ("generic", "application/problem+json"),
        ("aimlapi", "application/json"),
        ("openai", "application/json"),
    ],
)
def test_refusals_wear_the_profiles_envelope(launch: Launch, profile: str, kind: str) -> None:
    """Errors come in problem+json, with a textual statusCode, or as OpenAI's error object."""
    with launch("--profile", profile, "--require-key", "right") as one:
        answers = [
            one.post(headers={"authorization": "Bearer right"}, temperature=3),
            one.post(),
            one.post(headers={"authorization": "Bearer wrong"}),
            one.get("/v1/nothing"),
            one.get("/v1/chat/completions"),
            one.get("/v1/models"),
        ]
        assert [a.status_code for a in answers] == [400, 401, 401, 404, 405, 401]
        assert one.post(headers={"authorization": "Bearer right"}).status_code == 200
    assert {a.headers["content-type"] for a in answers} == {kind}
    assert answers[4].headers["allow"] == "POST"
    for answer in answers:
        body = answer.json()
        if profile == "generic":
            assert body["status"] == answer.status_code
        elif profile == "aimlapi":
            assert body["statusCode"] == str(answer.status_code)
        else:
            assert {"message", "type", "param", "code"} == set(body["error"])
    said = answers[0].text
    assert "Body validation error" in said
    assert "temperature" in said
    assert not any("right" in a.text for a in answers)


def test_model_names_by_profile(launch: Launch) -> None:
    """Profile aimlapi takes the two names of its model, any with the flag; generic takes any."""
    names = ("qwen-plus", "alibaba/qwen-plus", "gpt-x")

    def statuses(*arguments: str) -> list[int]:
        with launch(*arguments) as one:
            return [one.post(model=name).status_code for name in names]

    assert statuses() == [200, 200, 200]
    assert statuses("--profile", "aimlapi") == [200, 200, 400]
    assert statuses("--profile", "aimlapi", "--any-model") == [200, 200, 200]


def test_models_and_health(server: Server) -> None:
    """The model list, one model, and the health check answer."""
    listed = server.get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == ["alibaba/qwen-plus", "qwen-plus"]
    assert server.get("/v1/models/alibaba/qwen-plus").json()["object"] == "model"
    assert server.get("/v1/models/x").status_code == 404
    assert server.get("/healthz").json() == {"status": "ok"}


def test_fingerprints_take_turns(launch: Launch) -> None:
    """Each listed fingerprint serves its number of requests; null names none."""
    with launch("--fingerprint", "a", "--fingerprint", "null", "--fingerprint-every", "2") as one:
        said = [one.post().json()["system_fingerprint"] for _ in range(6)]
    assert said == ["a", "a", None, None, "a", "a"]


def test_known_questions_are_answered(launch: Launch, answers: Path) -> None:
    """``--answers`` knows a question by its text or by one of its lines."""
    with launch("--answers", str(answers)) as one:
        assert one.text(messages=[{"role": "user", "content": "What is 4 plus 4?"}]) == "8"
        wrapped = "Answer briefly.\n\nWhat is 5 plus 5?\n"
        assert one.text(messages=[{"role": "user", "content": wrapped}]) == "10"


def test_workers_queue_unseen(launch: Launch) -> None:
    """At most ``workers`` requests generate at once, however many are in flight."""
    with launch("--workers", "2", "--ttft-ms", "30") as one:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: one.post().status_code, range(12)))
        assert answers == [200] * 12
        stats = one.stats()
    assert stats["max_generating"] == 2
    assert stats["max_in_flight"] > 2


def test_delays_are_kept(launch: Launch) -> None:
    """An answer is never earlier than its delays: first token, then the gaps."""
    with launch("--ttft-ms", "60", "--itl-ms", "10", "--output-tokens", "6") as one:
        assert one.post().elapsed.total_seconds() >= 0.110
        assert one.post(stream=True).elapsed.total_seconds() >= 0.110


def test_a_thousand_connections_are_held(launch: Launch) -> None:
    """A thousand requests at once are all in flight together, and all answered."""

    async def one_request(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"model": "m", "messages": MESSAGES, "max_tokens": 2}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    async def all_of_them(port: int) -> list[bytes]:
        return await asyncio.gather(*(one_request(port) for _ in range(1000)))

    with launch("--ttft-ms", "3000") as one:
        lines = asyncio.run(all_of_them(one.port))
        assert lines == [b"HTTP/1.1 200 OK\r\n"] * 1000
        assert one.stats()["max_in_flight"] == 1000


def test_the_ready_line_is_the_only_line(launch: Launch) -> None:
    """Standard output holds one line of JSON, whatever is asked of the server."""
    with launch() as one:
        one.post()
        one.post(temperature=5)
        one.client.close()
        assert one.process.stdin is not None
        assert one.process.stdout is not None
        one.process.stdin.close()
        assert one.process.wait(30) == 0
        assert one.process.stdout.read() == b""


def test_it_leaves_when_its_input_ends() -> None:
    """With ``--exit-with-parent`` the end of its input ends it, requests in flight or not."""
    command = [sys.executable, "-m", "evalharness.emulator", "--exit-with-parent"]
    with subprocess.Popen(
        [*command, "--ttft-ms", "60000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        one = Server(process, json.loads(process.stdout.readline())["base_url"])

        def ask() -> None:
            with contextlib.suppress(httpx.HTTPError):
                httpx.post(f"{one.base_url}/chat/completions", json=BODY, trust_env=False)

        with one.client:
            asking = threading.Thread(target=ask)
            asking.start()
            while one.stats()["in_flight"] == 0:
                pass
            process.stdin.close()
            assert process.wait(30) == 0
            asking.join(30)
            assert not asking.is_alive()


def test_what_stops_it_is_said(tmp_path: Path) -> None:
    """A wrong option, a missing file or a taken port end it with one sentence and exit status 2."""

    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "evalharness.emulator", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert ended.stdout == ""
        return ended.stderr

    assert "provider.emulator.error_rate" in said("--error-rate", "7")
    assert "missing.jsonl" in said("--answers", str(tmp_path / "missing.jsonl"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "answer": 1}\n{"prompt": "b"}\n')
    assert f"{bad}:2" in said("--answers", str(bad))
    assert "--port 0" in said("--host", "192.0.2.1")
