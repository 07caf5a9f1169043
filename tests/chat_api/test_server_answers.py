"""Answers in the forms that servers send, streamed and not: both forms give the same record."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evalharness.chat_api.response import interpret
from evalharness.finish_reasons import FinishKind, finish_kind
from evalharness.http import Exchange
from evalharness.records import ErrorKind, Outcome, Reply, Status

USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
Delta = dict[str, Any]


def event(delta: Any = None, finish: Any = None, *, index: int = 0, **top: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    return {
        "id": "c",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **top,
    }


def streamed(
    *events: Any, done: bool = True, n: int | None = 1, failure: ErrorKind | None = None
) -> Reply:
    """What a stream is, whose events come a second apart."""
    chunks = [b"data: " + json.dumps(e).encode() + b"\n\n" for e in events]
    chunks += [b"data: [DONE]\n\n"] if done else []
    return interpret(
        Exchange(
            sent_at_ns=1, status=200, chunks=chunks, failure=failure, latency_s=99.0,
            times_ns=[1_000_000_000 * (at + 1) for at in range(len(chunks))],
        ),
        streamed=True, n=n,
    )  # fmt: skip


def whole(choice: dict[str, Any] | None, **top: Any) -> Reply:
    """What a JSON body with one choice is."""
    body = json.dumps({"id": "c", "choices": [] if choice is None else [choice], **top}).encode()
    seen = Exchange(sent_at_ns=1, status=200, chunks=[body], times_ns=[1], latency_s=1.0)
    return interpret(seen, streamed=False, n=1)


def both(deltas: list[Delta], message: Delta, finish: str = "stop") -> tuple[Reply, Reply]:
    """The same answer as a stream and as JSON."""
    stream = streamed(
        *(event(d) for d in deltas), event({}, finish), {"choices": [], "usage": USAGE}
    )
    return stream, whole({"message": message, "finish_reason": finish}, usage=USAGE)


def thinking(*texts: str) -> dict[str, Any]:
    """A part with reasoning as a list of texts."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": t} for t in texts]}


def text(words: str) -> dict[str, Any]:
    """A part with text."""
    return {"type": "text", "text": words}


REFERENCE = {"type": "reference", "reference_ids": [77]}

# ── content ──────────────────────────────────────────────────────────────────────────────────

PARTS = st.one_of(
    st.text(max_size=4).map(text),
    st.lists(st.text(max_size=4), max_size=2).map(lambda texts: thinking(*texts)),
    st.text(max_size=4).map(lambda words: {"type": "thinking", "thinking": words}),
    st.integers(0, 9).map(lambda n: {"type": "reference", "reference_ids": [n]}),
    st.just({"type": "image_url", "image_url": {"url": "u"}, "text": "no text of the answer"}),
)


@given(st.lists(st.one_of(st.text(max_size=4), st.lists(PARTS, max_size=3)), max_size=6))
@example(["", [thinking("a")], [thinking("b"), text("c")], "d", [text("e")], "f", ""])
@example([[], "a", [REFERENCE], "b", [{**REFERENCE, "reference_ids": [78]}]])
def test_content_as_text_and_as_parts(contents: list[Any]) -> None:
    """However content comes, its texts in order are the text, and its thinking the reasoning."""
    parts: list[Any] = []
    for content in contents:
        parts += [text(content)] if isinstance(content, str) else content
    stream, body = both([{"content": c} for c in contents], {"content": parts})
    assert (stream.text or "", stream.reasoning) == (body.text or "", body.reasoning)
    assert stream.status is body.status
    assert (stream.response_json or "").count("reference_ids") == str(parts).count("reference_ids")


def test_a_character_whose_halves_come_in_two_parts() -> None:
    halves: list[Any] = ["a", [text("\ud83d")], "\ude42"]
    reply = streamed(*(event({"content": half}) for half in halves), event({}, "stop"))
    assert (reply.text, reply.text_sanitized) == ("a🙂", False)


def test_parts_that_are_no_text() -> None:
    """References and unknown parts are kept with the response, and are no text."""
    unknown = {"type": "widget", "text": "hidden", "state": [1]}
    contents: list[Any] = ["Salt ", [REFERENCE], [unknown], "melts ice."]
    for reply in both(
        [{"content": c} for c in contents],
        {"content": [text("Salt "), REFERENCE, unknown, text("melts ice.")]},
    ):
        assert (reply.status, reply.text) == (Status.OK, "Salt melts ice.")
        content = json.loads(reply.response_json or "")["choices"][0]["message"]["content"]
        assert content == [text("Salt "), REFERENCE, unknown, text("melts ice.")]


def test_pieces_of_one_thought_are_one_part() -> None:
    """A thought in a thousand pieces is one part; one that is signed has ended."""
    pieces: list[Delta] = [{"content": [thinking(word)]} for word in ("one ", "by ", "one")]
    signed = {"type": "thinking", "thinking": "x", "signature": "s"}
    stream, _ = both([*pieces, {"content": [signed]}, {"content": [signed]}], {})
    content = json.loads(stream.response_json or "")["choices"][0]["message"]["content"]
    assert content == [thinking("one by one"), signed, signed]
    assert stream.reasoning == "one by onexx"


def test_a_refusal_among_the_parts() -> None:
    part = {"type": "refusal", "refusal": "I will not."}
    for reply in both([{"content": [part]}], {"content": [part]}):
        assert (reply.status, reply.refusal, reply.text) == (Status.REFUSED, "I will not.", None)


# ── reasoning ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrap",
    [
        lambda t: {"reasoning": t},
        lambda t: {"reasoning_content": t},
        lambda t: {"reasoning_text": t},
        lambda t: {"thinking": t},
        lambda t: {"reasoning": t, "reasoning_content": t},
        lambda t: {"reasoning_details": [{"type": "reasoning.text", "text": t, "index": 0}]},
        lambda t: {"reasoning_details": [{"type": "reasoning.summary", "summary": t}]},
        lambda t: {"reasoning": t, "reasoning_details": [{"type": "reasoning.text", "text": t}]},
        lambda t: {"thinking_blocks": [{"type": "thinking", "thinking": t}]},
        lambda t: {"content": [thinking(t)]},
    ],
)
def test_reasoning_is_stored_once_wherever_it_stands(wrap: Any) -> None:
    """It has its own times, and does not end the time to the first output token."""
    first, second = wrap("Two "), wrap("and two.")
    stream, body = both([first, second, {"content": "Four."}], wrap("Two and two."))
    assert stream.reasoning == body.reasoning == "Two and two."
    assert (stream.ttft_s, stream.ttfr_s, stream.last_reasoning_s, stream.ttfo_s) == (1, 1, 2, 3)
    assert (body.ttft_s, body.ttfr_s, body.last_reasoning_s, body.ttfo_s) == (None,) * 4


def test_reasoning_that_is_encrypted_is_no_text() -> None:
    details = [{"type": "reasoning.text", "text": "a", "index": 0},
               {"type": "reasoning.encrypted", "data": "qq", "index": 0}]  # fmt: skip
    stream, body = both(
        [{"reasoning_details": [d]} for d in details], {"reasoning_details": details}
    )
    assert stream.reasoning == body.reasoning == "a"
    for reply in (stream, body):
        kept = json.loads(reply.response_json or "")["choices"][0]["message"]["reasoning_details"]
        assert kept == details


# ── tool calls ───────────────────────────────────────────────────────────────────────────────


def calls_of(reply: Reply) -> list[tuple[str, Any]]:
    """Name and arguments of each call; arguments are always a text."""
    functions = [call["function"] for call in json.loads(reply.tool_calls_json or "[]")]
    return [(f["name"], json.loads(f["arguments"])) for f in functions]


def in_pieces(value: str, cuts: list[int]) -> list[str]:
    """A text cut into pieces."""
    places = [0, *sorted(cut % (len(value) + 1) for cut in cuts), len(value)]
    return [value[start:end] for start, end in pairwise(places)]


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["f", "g", "get_tide"]),
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=2),
    ),
    min_size=1,
    max_size=4,
)
DIALECTS = ("index", "index 0", "no index", "id in each piece", "no id", "objects")


@given(
    CALLS, st.sampled_from(DIALECTS), st.lists(st.integers(0, 60), max_size=3), st.booleans(),
    st.sampled_from(["", None]),
)  # fmt: skip
def test_tool_calls_in_every_dialect(
    calls: list[tuple[str, Any]], dialect: str, cuts: list[int], together: bool, empty: str | None
) -> None:
    """A call begins with a new id, or where ids are empty with a new name; pieces go on with it."""
    if dialect == "no id":  # one index: only another name tells calls apart
        calls = [call for call, after in pairwise([*calls, ("", {})]) if call[0] != after[0]]
    pieces: list[Delta] = []
    for at, (name, arguments) in enumerate(calls):
        call_id = empty if dialect in ("no id", "objects") else f"call-{at}"
        parts = in_pieces(json.dumps(arguments), cuts)
        given: list[Any] = [arguments] if dialect == "objects" else parts
        for n, part in enumerate(given):
            piece: Delta = {"type": "function", "function": {"arguments": part}}
            if dialect != "no index":
                piece["index"] = at if dialect in ("index", "id in each piece") else 0
            if n == 0:
                piece["function"]["name"] = name
            piece["id"] = call_id if n == 0 or dialect == "id in each piece" else empty
            pieces.append(piece)
    deltas = [pieces] if together else [[piece] for piece in pieces]
    reply = streamed(*(event({"tool_calls": d}) for d in deltas), event({}, "tool_calls"))
    assert calls_of(reply) == calls
    assert reply.status is Status.OK


def test_pieces_of_two_calls_in_turn() -> None:
    """Under indexes of their own, pieces of two calls may come in any order."""

    def piece(index: int, arguments: str, **more: Any) -> Delta:
        function = {"arguments": arguments, **({"name": "f"} if more else {})}
        return {"tool_calls": [{"index": index, "function": function, **more}]}

    deltas = [piece(1, "", id="b"), piece(0, "", id="a"), piece(1, '{"x":'), piece(0, '{"x":'),
              piece(1, "2}"), piece(0, "1}")]  # fmt: skip
    reply = streamed(*map(event, deltas), event({}, "tool_calls"))
    assert calls_of(reply) == [("f", {"x": 1}), ("f", {"x": 2})]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # An id for two whole calls: their indexes tell them apart.
        ([(0, "x", "f", '{"a":1}'), (1, "x", "f", '{"a":2}')], [("f", {"a": 1}), ("f", {"a": 2})]),
        # Arguments under an index that no call has belong to the last call.
        ([(0, "x", "f", '{"a"'), (1, None, None, ":1}")], [("f", {"a": 1})]),
        # No ids, one name and whole arguments: two calls.
        ([(0, "", "f", '{"a":1}'), (0, "", "f", '{"a":2}')], [("f", {"a": 1}), ("f", {"a": 2})]),
        # The name in each piece is one name.
        ([(0, None, "f", '{"a"'), (0, None, "f", ":1}")], [("f", {"a": 1})]),
        # The id in a piece of its own, before the name.
        ([(0, "x", None, ""), (0, None, "f", "{}"), (0, "y", None, ""), (0, None, "g", "{}")],
         [("f", {}), ("g", {})]),
        # A name in pieces under one id.
        ([(0, "x", "get_", ""), (0, None, "tide", ""), (0, None, None, "{}")], [("get_tide", {})]),
        # A function without arguments, then another one.
        ([(0, "", "now", "{}"), (0, "", "later", {})], [("now", {}), ("later", {})]),
    ],
)  # fmt: skip
def test_how_calls_are_told_apart(pieces: list[Any], calls: list[Any]) -> None:
    deltas: list[Delta] = []
    for index, call_id, name, arguments in pieces:
        function = {"arguments": arguments} | ({} if name is None else {"name": name})
        deltas.append({"index": index, "function": function} | ({"id": call_id} if call_id else {}))
    reply = streamed(*(event({"tool_calls": [d]}) for d in deltas), event({}, "tool_calls"))
    assert calls_of(reply) == calls


def test_arguments_as_an_object_are_stored_as_text() -> None:
    """What a server sends is kept with the response; a call has one form."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": [1]}}}
    for reply in both([{"tool_calls": [call]}], {"tool_calls": [call]}, "tool_calls"):
        (stored,) = json.loads(reply.tool_calls_json or "")
        assert stored["function"] == {"name": "f", "arguments": '{"x":[1]}'}
        message = json.loads(reply.response_json or "")["choices"][0]["message"]
        assert message["tool_calls"][0]["function"]["arguments"] == {"x": [1]}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("arguments", ["{}", "{", "x}", ""])
@pytest.mark.parametrize("names", [["f"], ["f", "g"], [""]])
@pytest.mark.parametrize("key", ["a", ""])
def test_many_pieces_take_linear_time(arguments: str, names: list[str], key: str) -> None:
    """Sixty thousand pieces are told apart in seconds, whatever they hold."""
    pieces = [
        {"index": 0, "id": key, "function": {"name": names[n % len(names)], "arguments": arguments}}
        for n in range(60_000)
    ]
    first = {
        "index": 0,
        "id": key,
        "function": {"name": "f", "arguments": '{"long":"' + "x" * 10**6},
    }
    reply = streamed(event({"tool_calls": [first, *pieces]}), event({}, "tool_calls"))
    assert reply.status is Status.OK


# ── the end ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("finish", "status", "kind"),
    [
        ("STOP", Status.OK, FinishKind.ORDINARY),
        ("end_turn", Status.OK, FinishKind.ORDINARY),
        ("eos_token", Status.OK, FinishKind.ORDINARY),
        ("tool-calls", Status.OK, FinishKind.ORDINARY),
        ("FINISH_REASON_STOP", Status.OK, FinishKind.ORDINARY),
        ("model_length", Status.TRUNCATED, FinishKind.CUT),
        ("MAX_TOKENS", Status.TRUNCATED, FinishKind.CUT),
        ("maxTokens", Status.TRUNCATED, FinishKind.CUT),
        ("FINISH_REASON_MAX_TOKENS", Status.TRUNCATED, FinishKind.CUT),
        ("model_context_window_exceeded", Status.TRUNCATED, FinishKind.CUT),
        ("SAFETY", Status.REFUSED, FinishKind.FILTERED),
        ("content-filter", Status.REFUSED, FinishKind.FILTERED),
        ("abort", Status.ERROR, FinishKind.BROKEN),
        ("ERROR", Status.ERROR, FinishKind.BROKEN),
        ("insufficient_system_resource", Status.ERROR, FinishKind.BROKEN),
        ("weary", Status.OK, FinishKind.UNKNOWN),
        ("x" * 100_000, Status.OK, FinishKind.UNKNOWN),
    ],
)
def test_finish_reasons(finish: str, status: Status, kind: FinishKind) -> None:
    """The word is kept; what it means decides the status, in both forms."""
    assert finish_kind(finish) is kind
    for reply in both([{"content": "Four"}], {"content": "Four"}, finish):
        assert (reply.status, reply.finish_reason) == (status, finish)
        if status is Status.ERROR:
            assert (reply.outcome, reply.error_kind) == (Outcome.IN_DOUBT, ErrorKind.BAD_RESPONSE)
            assert reply.error_message == f"finish_reason is {finish}"
            assert reply.text is None
        else:
            assert reply.text == "Four"


@pytest.mark.parametrize("failure", [None, ErrorKind.CONNECTION_LOST])
@pytest.mark.parametrize(
    "late", [{"content": "Four"}, {"content": [text("Four")]}, {"reasoning_content": "hm"},
             {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}],
)  # fmt: skip
def test_content_after_the_end_reopens_a_stream(late: Delta, failure: ErrorKind | None) -> None:
    """Cut then it is no answer; with an end of its own it is."""
    early = event({"reasoning_content": "hm"}, "stop")
    cut = streamed(early, event(late), done=False, failure=failure)
    assert (cut.status, cut.outcome) == (Status.ERROR, Outcome.IN_DOUBT)
    ended = streamed(early, event(late), event({}, "length"), done=False, failure=failure)
    assert (ended.status, ended.finish_reason) == (Status.TRUNCATED, "length")


@pytest.mark.parametrize(
    "empty",
    [
        event({}, ""), event({}, None), event(None, ""), event({"content": ""}, ""),
        event({"content": "", "role": "assistant"}), event({"reasoning": "", "tool_calls": []}),
        event({"content": [REFERENCE]}), event({}, "", usage=USAGE), {"choices": [], "usage": USAGE},
        {"choices": [{"index": 0, "content_filter_results": {}}]},
    ],
)  # fmt: skip
def test_an_empty_chunk_after_the_end_changes_nothing(empty: Any) -> None:
    for done in (True, False):
        reply = streamed(event({"content": "Four"}), event({}, "stop"), empty, empty, done=done)
        assert (reply.status, reply.text, reply.finish_reason) == (Status.OK, "Four", "stop")
        assert reply.last_content_s == 1


@given(
    st.lists(st.sampled_from(["role", "text", "thought", "end"]), max_size=4),
    st.permutations(range(6)),
)
def test_a_choice_that_nobody_asked_for_changes_nothing(second: list[str], places: Any) -> None:
    """However far it gets; it is kept with the response."""
    forms: dict[str, Any] = {
        "role": event({"role": "assistant", "content": ""}, index=1),
        "text": event({"content": "Other"}, index=1),
        "thought": event({"reasoning": "Hm"}, index=1),
        "end": event({}, "length", index=1),
    }
    first = [event({"role": "assistant"}), event({"content": "Fo"}), event({"content": "ur"}),
             event({}, "stop")]  # fmt: skip
    mixed = [(at + 0.5, event_) for at, event_ in enumerate(first)]
    mixed += [(float(place), forms[form]) for place, form in zip(places, second, strict=False)]
    events = [event_ for place, event_ in sorted(mixed, key=lambda pair: pair[0]) if place >= 0.5]
    alone, reply = streamed(*first), streamed(*events)
    assert (reply.status, reply.text, reply.finish_reason) == (alone.status, "Four", "stop")
    assert reply.reasoning is reply.ttfr_s is None
    assert reply.ttfo_s == events.index(first[1]) + 1
    assert reply.last_content_s == events.index(first[2]) + 1


@pytest.mark.parametrize(("n", "status"), [(1, Status.OK), (2, Status.ERROR), (None, Status.ERROR)])
def test_all_choices_that_were_asked_for_have_to_end(n: int | None, status: Status) -> None:
    """Where nobody knows how many were asked for, all of them."""
    reply = streamed(event({"content": "Four"}, "stop"), event({"content": "Fi"}, index=1), n=n)
    assert reply.status is status


def test_the_choice_that_was_asked_for_has_to_end() -> None:
    reply = streamed(event({"content": "Fo"}), event({"content": "x"}, "stop", index=1), done=False)
    assert (reply.status, reply.error_kind) == (Status.ERROR, ErrorKind.STREAM_CUT)
    # A server that counts from one has another first choice.
    counted = streamed(event({"content": "Four"}, "stop", index=1))
    assert (counted.status, counted.text, counted.ttfo_s) == (Status.OK, "Four", 1)


@pytest.mark.parametrize("usage", [{"choices": [], "usage": USAGE}, event({}, usage=USAGE)])
def test_a_server_that_sends_no_finish_reason(usage: Any) -> None:
    """With its usage and [DONE] a stream is as whole as a JSON body; without either it is cut."""
    content = event({"content": "Four"})
    body = whole({"message": {"content": "Four"}, "finish_reason": None}, usage=USAGE)
    stream = streamed(content, usage)
    assert (stream.status, stream.text) == (body.status, body.text) == (Status.OK, "Four")
    assert stream.finish_reason is body.finish_reason is None
    for cut in (streamed(content, usage, done=False), streamed(content), streamed(event({}))):
        assert (cut.status, cut.error_kind) == (Status.ERROR, ErrorKind.STREAM_CUT)


@pytest.mark.parametrize(
    ("choice", "status"),
    [
        ({"message": None, "finish_reason": "length"}, Status.TRUNCATED),
        ({"finish_reason": "length"}, Status.TRUNCATED),
        ({"message": None, "finish_reason": "stop"}, Status.EMPTY),
        ({"finish_reason": "stop"}, Status.EMPTY),
        ({"message": None}, Status.EMPTY),
        ({"message": None, "finish_reason": "content_filter"}, Status.REFUSED),
        (None, Status.EMPTY),
    ],
)
def test_an_answer_without_a_message_is_delivered(choice: Any, status: Status) -> None:
    """Its tokens were counted, so it is paid for, and is not bought again."""
    delta = None if choice is None else event(None, choice.get("finish_reason"))
    events = [{"choices": [], "usage": USAGE}] if delta is None else [{**delta, "usage": USAGE}]
    for reply in (whole(choice, usage=USAGE), streamed(*events)):
        assert (reply.outcome, reply.status, reply.text) == (Outcome.DELIVERED, status, None)
        assert reply.usage.completion_tokens == 5
    uncounted = whole(choice, usage={"prompt_tokens": 0, "completion_tokens": 0})
    known = choice is not None and choice.get("finish_reason")
    assert (uncounted.outcome is Outcome.DELIVERED) is bool(known)


@pytest.mark.parametrize("late", [{"error": {"message": "m"}}, "null", "done"])
def test_what_is_said_after_a_whole_and_counted_answer_changes_nothing(late: Any) -> None:
    """It is delivered and billed: an event after it must not make it be bought again."""
    reply = streamed(event({"content": "Four"}, "stop"), event({}, usage=USAGE), late)
    assert (reply.status, reply.text) == (Status.OK, "Four")
    assert reply.usage is not None
    assert reply.usage.completion_tokens == USAGE["completion_tokens"]


def test_an_error_beside_an_empty_choice_is_an_error() -> None:
    """A rate limit in a 200 with a choice that says nothing is no empty answer."""
    body = whole(
        {"message": {"content": None}, "finish_reason": None},
        error={"code": 429, "message": "slow down"},
    )
    assert (body.status, body.error_kind) == (Status.ERROR, ErrorKind.RATE_LIMITED)
    assert body.error_message is not None
    assert "slow down" in body.error_message


@pytest.mark.parametrize("zeros", [{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}])
def test_zeros_hide_no_counts(zeros: dict[str, int]) -> None:
    """Some servers end with a usage of zeros, or have one at the top beside the real one."""
    last = streamed(
        event({"content": "Four"}, "stop"), event({}, usage=USAGE), event({}, usage=zeros)
    )
    beside = whole(
        {"message": {"content": "Four"}, "finish_reason": "stop", "usage": USAGE}, usage=zeros
    )
    for reply in (last, beside):
        assert reply.usage is not None
        assert reply.usage.completion_tokens == USAGE["completion_tokens"]


def test_two_places_of_reasoning_that_differ_are_both_kept() -> None:
    """What one place says again is stored once."""
    message = {"reasoning": "A ", "reasoning_content": "B", "content": "Four"}
    assert whole({"message": message, "finish_reason": "stop"}).reasoning == "A B"
    again = {"reasoning": "A B", "reasoning_content": "A B", "content": "Four"}
    assert whole({"message": again, "finish_reason": "stop"}).reasoning == "A B"
