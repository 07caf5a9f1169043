"""Faults over real sockets: each does to the connection, the bytes and the bill what it says."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.emulator.faults import (
    FAULT_KINDS,
    Fault,
    FaultError,
    FaultPlan,
    FaultStage,
    parse_fault,
)
from tests.emulator.conftest import MESSAGES, Server

Launch = Callable[..., contextlib.AbstractContextManager[Server]]
ARGUMENTS = ("--output-tokens", "20")


def spoken(server: Server, fault: str, **body: Any) -> tuple[bytes, bool]:
    """All bytes the server sends for a request, and whether it reset the connection after them."""
    whole = {"model": "m", "messages": MESSAGES, "emulator_fault": fault, **body}
    raw = json.dumps(whole).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    received = bytearray()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(head + b"Content-Length: %d\r\n\r\n" % len(raw) + raw)
        try:
            while data := line.recv(65536):
                received += data
        except ConnectionResetError:
            return bytes(received), True
    return bytes(received), False


def body_of(message: bytes) -> bytes:
    """The body of a raw response, chunks joined."""
    head, _, rest = message.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    joined = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        joined += rest[:length]
        rest = rest[length + 2 :]
    return bytes(joined)


def last(server: Server) -> dict[str, Any]:
    return server.ledger()[-1]


def test_resets_are_resets(server: Server) -> None:
    """A reset reaches the client as one, before the headers, after them, or amid the body."""
    for fault, billed in (("reset", False), ("in_doubt", True)):
        for stream in (False, True):
            assert spoken(server, fault, stream=stream) == (b"", True)
            row = last(server)
            assert (row["billed"], row["status"], row["delivered"]) == (billed, None, False)
    said, was_reset = spoken(server, "reset_headers")
    assert was_reset
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"\r\n\r\n")
    for stream in (False, True):
        said, was_reset = spoken(server, "reset_body", stream=stream)
        assert was_reset
        assert len(said.partition(b"\r\n\r\n")[2]) > 50
        assert (last(server)["billed"], last(server)["delivered"]) == (True, False)


def test_cuts_are_not_resets(server: Server) -> None:
    """A cut ends the connection in good order with part of what was promised."""
    said, was_reset = spoken(server, "cut")
    assert not was_reset
    promised = int(said.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(body_of(said)) < promised
    said, was_reset = spoken(server, "cut", stream=True)
    assert not was_reset
    assert not said.endswith(b"0\r\n\r\n")
    assert b"data: " in said
    assert spoken(server, "close") == (b"", False)
    assert last(server)["billed"] is False


@pytest.mark.parametrize(
    ("written", "status", "headers"),
    [
        ("status=503", 503, {}),
        ("status=529", 529, {}),
        ("status=429;retry-after=7", 429, {"retry-after": "7"}),
        ("status=429;retry-after=0.5", 429, {"retry-after": "0.5"}),
        ("status=429;retry-after-ms=1500", 429, {"retry-after-ms": "1500"}),
        ("redirect=http://127.0.0.1:9/x", 307, {"location": "http://127.0.0.1:9/x"}),
    ],
)
def test_statuses_are_sent_with_their_headers(
    server: Server, written: str, status: int, headers: dict[str, str]
) -> None:
    """A status comes as asked, by header or by field, unbilled, with only the headers asked for."""
    by_header = server.post(headers={"x-emulator-fault": written})
    by_field = server.post(emulator_fault=written)
    for answer in (by_header, by_field):
        assert answer.status_code == status
        found = {k: v for k, v in answer.headers.items() if k.startswith(("retry", "location"))}
        assert found == headers
    assert (last(server)["billed"], last(server)["fault"]) == (False, written)


def test_a_retry_date_is_an_http_date(server: Server) -> None:
    """``retry-after-date`` lies so many seconds after the response's own date."""
    answer = server.post(emulator_fault="status=503;retry-after-date=60")
    later = parsedate_to_datetime(answer.headers["retry-after"])
    now = parsedate_to_datetime(answer.headers["date"])
    assert 58 <= (later - now).total_seconds() <= 62


def test_status_messages_and_codes(server: Server) -> None:
    """The code and the message of an error can be chosen."""
    fault = "status=429;code=insufficient_quota;message=Out of tokens"
    body = server.post(emulator_fault=fault).json()
    assert (body["code"], body["detail"]) == ("insufficient_quota", "Out of tokens")
    assert "run out of credits" in server.post(emulator_fault="status=403").json()["detail"]


def strict(raw: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(raw, parse_constant=refuse)


def test_bodies_that_are_no_json(server: Server) -> None:
    """HTML, half an answer, nothing, NaN and bytes outside UTF-8, each with status 200."""
    large = {"big_body", "gzip_bomb", "deep_nesting"}
    names = {name for name, kind in FAULT_KINDS.items() if kind.stage is FaultStage.BODY} - large
    whole = {name: server.post(emulator_fault=name) for name in names}
    assert {answer.status_code for answer in whole.values()} == {200}
    assert whole["html"].headers["content-type"].startswith("text/html")
    assert whole["empty_body"].content == b""
    for name in ("html", "truncated_json", "nan"):
        with pytest.raises(ValueError):
            strict(whole[name].content)
    with pytest.raises(UnicodeDecodeError):
        whole["invalid_utf8"].content.decode()
    surrogate = strict(whole["lone_surrogates"].content)["choices"][0]["message"]["content"]
    with pytest.raises(UnicodeEncodeError):
        surrogate.encode()
    assert last(server)["billed"] is True


def test_bodies_of_another_shape(server: Server) -> None:
    """Valid JSON that is no valid answer, each in its own way."""
    names = (
        *("wrong_types", "negative_usage", "huge_numbers", "missing_usage", "null_usage"),
        *("json_array", "no_choices", "missing_choices", "extra_choices", "null_content"),
        "error_object",
    )
    got = {name: strict(server.post(emulator_fault=name).content) for name in names}
    assert isinstance(got["wrong_types"]["usage"]["prompt_tokens"], str)
    assert got["negative_usage"]["usage"]["total_tokens"] < 0
    assert got["huge_numbers"]["usage"]["prompt_tokens"] > 10**300
    assert "usage" not in got["missing_usage"]
    assert got["null_usage"]["usage"] is None
    assert isinstance(got["json_array"], list)
    assert got["no_choices"]["choices"] == []
    assert "choices" not in got["missing_choices"]
    assert len(got["extra_choices"]["choices"]) == 3
    assert got["null_content"]["choices"][0]["message"]["content"] is None
    assert set(got["error_object"]) == {"error"}


def test_large_bodies(server: Server) -> None:
    """Big, bomb-packed and deeply nested bodies have the size they are asked for."""
    assert len(server.post(emulator_fault="big_body=3").content) > 3 << 20
    packed = body_of(spoken(server, "gzip_bomb=8")[0])
    assert len(packed) < 20_000
    assert len(gzip.decompress(packed)) > 8 << 20
    assert zlib.decompress(packed, 31).startswith(b'{"padding":"x')
    assert b"[" * 5000 in server.post(emulator_fault="deep_nesting=5000").content


def test_unusual_answers(server: Server) -> None:
    """Refusals, filtered and empty texts are well-formed answers, in both forms."""
    refused = server.post(emulator_fault="refusal").json()["choices"][0]
    assert refused["message"]["refusal"]
    assert refused["message"]["content"] == ""
    filtered = server.post(emulator_fault="content_filter", seed=1).json()["choices"][0]
    whole = server.text(seed=1)
    assert filtered["finish_reason"] == "content_filter"
    assert whole.startswith(filtered["message"]["content"])
    assert 0 < len(filtered["message"]["content"]) < len(whole)
    assert server.text(emulator_fault="empty_text") == ""
    streamed = server.post(emulator_fault="refusal", stream=True).text
    pieces = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    said = "".join(c["delta"].get("refusal") or "" for p in pieces for c in p["choices"])
    assert said == refused["message"]["refusal"]


def parsed_stream(raw: bytes) -> Iterator[str]:
    """Events by the WHATWG rules, written out plainly: the data of each."""
    text = raw.decode("utf-8-sig")
    data: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line and data:
            yield "\n".join(data)
            data = []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


@pytest.mark.parametrize("form", ["sse_cr", "sse_crlf", "sse_bom", "sse_comments", "sse_multiline"])
def test_streams_in_every_legal_form(server: Server, form: str) -> None:
    """An unusual form of the stream carries the very same answer."""
    raw = server.post(emulator_fault=form, stream=True, seed=3).content
    marks = {
        "sse_cr": b"\r\r",
        "sse_crlf": b"\r\n\r\n",
        "sse_bom": b"\xef\xbb\xbfdata",
        "sse_comments": b"\n: ",
        "sse_multiline": b'",\ndata: ',
    }
    assert marks[form] in raw
    assert (b"\n" in raw) is (form != "sse_cr")
    *events, done = parsed_stream(raw)
    assert done == "[DONE]"
    text = "".join(c["delta"]["content"] for e in events for c in json.loads(e)["choices"])
    assert text == server.text(seed=3)


def test_streams_that_break_off(server: Server) -> None:
    """Errors amid the stream, missing ends, and half a character."""

    def said(fault: str) -> bytes:
        return body_of(spoken(server, fault, stream=True)[0])

    whole = said("split=100000")
    assert whole.count(b'"finish_reason":"stop"') + whole.count(b'"finish_reason":"length"') == 1
    broken = said("stream_error")
    assert b'data: {"error":' in broken
    assert b"[DONE]" not in broken
    assert b'finish_reason":"' not in broken
    with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
        said("cut_utf8").decode()
    unfinished = said("no_finish")
    assert b'finish_reason":"' not in unfinished
    assert b"[DONE]" not in unfinished
    assert b"[DONE]" not in said("no_done")
    assert b'finish_reason":"' in said("no_done")


def test_slow_and_split_deliveries(server: Server) -> None:
    """Pauses, drips and splits deliver late or in crumbs, but whole."""
    expected = server.post(seed=1).json()["choices"]
    for fault in ("delay=0.05", "stall=0.05", "drip=0", "split=7"):
        assert server.post(emulator_fault=fault, seed=1).json()["choices"] == expected
        streamed = server.post(emulator_fault=fault, seed=1, stream=True)
        assert streamed.text.endswith("data: [DONE]\n\n")
    assert server.post(emulator_fault="delay=0.2").elapsed.total_seconds() >= 0.2
    assert last(server)["delivered"] is True


@pytest.mark.parametrize("fault", ["hang", "stall", "drip=30", "delay=60"])
def test_a_client_that_leaves_is_let_go(server: Server, fault: str) -> None:
    """A pause ends when the client leaves: nothing is left in flight."""
    with pytest.raises(httpx.TimeoutException):
        server.client.post(
            f"{server.base_url}/chat/completions",
            json={"model": "m", "messages": MESSAGES, "emulator_fault": fault},
            timeout=0.3,
        )
    while server.stats()["in_flight"]:
        pass  # the test's own time limit is the judge
    assert last(server)["finished"] is True


def test_a_fault_that_cannot_be_is_refused(server: Server) -> None:
    """An unknown fault, a wrong argument, and a stream's fault without a stream are 400."""
    for fault in (
        "explode",
        "status=abc",
        "status=99",
        "reset=1",
        "status=500;x=1",
        "sse_cr",
        "a\nb",
    ):
        answer = server.post(emulator_fault=fault)
        assert answer.status_code == 400
        assert "emulator_fault" in answer.json()["detail"]


def test_chance_brings_faults_at_their_rate(launch: Launch) -> None:
    """``error_rate``, ``in_doubt`` and ``faults`` strike their share, alike in every run."""
    arguments = ("--error-rate", "0.2", "--error-retry-after", "retry-after=3", "--in-doubt", "0.1")

    def run(seed: str) -> list[str | None]:
        with launch(*arguments, "--fault", "html=0.1", "--seed", seed) as one:
            for _ in range(150):
                with contextlib.suppress(httpx.TransportError):
                    one.post()
            return [row["fault"] for row in one.ledger()]

    first = run("1")
    assert first == run("1") != run("2")
    counts = Counter(first)
    assert counts["status=503;retry-after=3"] == pytest.approx(30, abs=20)
    assert counts["in_doubt"] == pytest.approx(12, abs=11)
    assert counts["html"] == pytest.approx(10.8, abs=10.5)


def test_rates_do_not_move_each_other() -> None:
    """Adding a fault leaves the draws of the others where they were."""

    def struck(rates: dict[str, float], position: int) -> list[bool]:
        plan = FaultPlan(rates, seed=3)
        name = list(rates)[position]
        drawn = [plan.draw(streamed=False) for _ in range(200)]
        return [fault is not None and fault.name == name for fault in drawn]

    alone = FaultPlan({"reset": 1.0, "html": 0.5}, seed=3)
    assert all(alone.draw(streamed=False) for _ in range(50))
    assert struck({"html": 0.3, "reset": 0.0}, 0) == struck({"html": 0.3, "reset": 0.9}, 0)
    assert FaultPlan({"sse_cr": 1.0}, seed=1).draw(streamed=False) is None


@given(st.text(max_size=30))
def test_any_text_is_a_fault_or_an_error(text: str) -> None:
    """Parsing gives a fault or FaultError, never another exception."""
    with contextlib.suppress(FaultError):
        assert isinstance(parse_fault(text), Fault)


def test_every_fault_is_documented_with_a_default() -> None:
    """Each kind parses by its bare name and belongs to a stage."""
    for name, kind in FAULT_KINDS.items():
        fault = parse_fault(name)
        assert fault.stage is kind.stage in FaultStage
        assert kind.meaning
