"""``docs/latency-formulas.md``: our column of its example is what the code makes of its stream."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalharness.analysis.load.load_point import LoadPointResult, describe_load_point
from evalharness.chat_api.response import interpret
from evalharness.config.models import LoadConfig
from evalharness.http import Exchange
from evalharness.records import AttemptResult, Intent, Phase
from evalharness.store.folder.load_points_file import Measurement
from evalharness.store.parts.to_arrow import attempt_table, record_table

PAGE = (Path(__file__).parents[3] / "docs" / "latency-formulas.md").read_text("utf-8")
NS_A_MS = 1_000_000
ANCHOR_NS = 1_700_000_000 * 1000 * NS_A_MS
WINDOW_S = 1.0
UNKNOWN = "–"
# The page prints two digits after the point; a little more, for a half that binary cannot hold.
HALF_A_DIGIT = 0.005 + 1e-9
# An event of the stream: what it is, milliseconds after sending, tokens as the page counts them.
Event = tuple[str, int, int]


def cells_of(section: str) -> list[list[str]]:
    """The body rows of the first table under a heading, as cells."""
    text = PAGE.split(f"\n### {section}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def streams() -> dict[str, tuple[int, list[Event]]]:
    """The requests of the page by name: when sent (ms of the window), and what came."""
    found: dict[str, tuple[int, list[Event]]] = {}
    for name, event, at, tokens in cells_of("The streams"):
        if event == "sent":
            found[name] = (int(at), [])
        else:
            found[name][1].append((event, int(at), 0 if tokens == UNKNOWN else int(tokens)))
    return found


def bytes_of(event: str, tokens: int) -> bytes:
    """What the server sends for one event."""
    text = "a " * tokens
    deltas: dict[str, tuple[dict[str, Any], str | None]] = {
        "role": ({"role": "assistant", "content": ""}, None),
        "reasoning": ({"reasoning": text}, None),
        "content": ({"content": text}, None),
        "last content": ({"content": text}, "length"),
        "end": ({"content": ""}, "stop"),
    }
    top: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "model": "m"}
    if event == "[DONE]":
        return b"data: [DONE]\n\n"
    if event == "usage":
        usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
        document = {**top, "choices": [], "usage": usage}
    else:
        delta, finish = deltas[event]
        document = {**top, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def answered(name: str, sent_ms: int, events: list[Event]) -> AttemptResult:
    """The attempt that one stream of the page is, read by the harness."""
    (*chunks, (last, closed_ms, _)) = events
    assert last == "closed"
    sent_ns = ANCHOR_NS + sent_ms * NS_A_MS
    exchange = Exchange(
        sent_at_ns=sent_ns,
        status=200,
        headers={"content-type": "text/event-stream"},
        chunks=[bytes_of(event, tokens) for event, _, tokens in chunks],
        times_ns=[at * NS_A_MS for _, at, _ in chunks],
        latency_s=closed_ms / 1000,
    )
    intent = Intent(
        trial_id=name, prompt_id=name, setting_id="s", repeat=0, position=0, attempt=1,
        client_request_id=name, admitted_at_ns=sent_ns, in_flight=1, measurement=1,
        phase=Phase.MEASURED,
    )  # fmt: skip
    reply = interpret(exchange, streamed=True, keep_chunk_times=True)
    return AttemptResult(intent, reply, final=True, scheduled_at_ns=sent_ns, queue_s=0.0)


def measured(requests: dict[str, tuple[int, list[Event]]]) -> LoadPointResult:
    """The load point that the requests are together."""
    results = [answered(name, *stream) for name, stream in requests.items()]
    measurement = Measurement(
        number=1, settings=["s"], load={}, anchor_ns=ANCHOR_NS, begin_s=0.0, end_s=WINDOW_S,
        scheduled=len(results),
    )  # fmt: skip
    load = LoadConfig(arrival="replay")
    return describe_load_point(measurement, record_table(results, {}), attempt_table(results), load)


def our_figures() -> dict[str, list[float]]:
    """Every figure of the page's table as our code computes it: milliseconds, tokens, seconds."""
    names = list(streams())
    result = measured(streams())
    single, facts = result.requests, result.facts
    assert facts.window_s is not None
    a, c = names.index("A"), names.index("C")
    figures: dict[str, list[float | None]] = {
        "A: TTFT, ms": [single.ttft_s[a] * 1000],
        "A: TTFO, ms": [single.ttfo_s[a] * 1000],
        "A: latency, ms": [single.end_s[a] * 1000],
        "A: output tokens": [single.tokens[a]],
        "A: time per token after the first, ms": [single.tpot_s[a] * 1000],
        "A: time per token, TTFT included, ms": [None],
        "A: gaps between chunks, ms": list(np.diff(single.chunks[a]) * 1000),
        "C: time per token after the first, ms": [single.tpot_s[c] * 1000],
        "mean TTFT, ms": [_ms(facts.ttft_s.sent.mean)],
        "mean latency, ms": [_ms(facts.latency_s.sent.mean)],
        "mean time per token after the first, ms": [_ms(facts.tpot_s.mean)],
        "median time per token after the first, ms": [_ms(facts.tpot_s.p50)],
        "mean gap, ms": [_ms(facts.inter_chunk_s.mean)],
        "median gap, ms": [_ms(facts.inter_chunk_s.p50)],
        "mean tokens/s of a stream": [facts.tokens_per_s.mean],
        "output tokens, all": [float(np.nansum(single.tokens))],
        "seconds they are divided by": [facts.window_s],
        "output tokens/s": [facts.output_tokens_per_s],
    }
    return {
        name: [np.nan if value is None else float(value) for value in values]
        for name, values in figures.items()
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def number(cell: str) -> float:
    """A printed figure; NaN for one that there is not."""
    return np.nan if cell == UNKNOWN else float(cell)


def test_our_column_is_what_the_code_computes_from_the_stream_of_the_page() -> None:
    printed = {
        row[0]: [number(value) for value in row[1].split(", ")] for row in cells_of("The figures")
    }
    computed = our_figures()
    assert list(printed) == list(computed)
    for name, values in computed.items():
        assert printed[name] == pytest.approx(values, abs=HALF_A_DIGIT, nan_ok=True), name


def test_every_row_has_a_figure_for_every_tool() -> None:
    rows = cells_of("The figures")
    assert {len(row) for row in rows} == {6}
    for row in rows:
        for cell in row[1:]:
            assert re.fullmatch(r"–|[\d.]+(, [\d.]+)*( \([^)]+\))?", cell), row


def test_an_answer_in_one_chunk_has_no_tpot_and_no_gap() -> None:
    """As the page says under "Several tokens in a chunk"."""
    events = [("last content", 100, 5), ("usage", 110, 5), ("closed", 120, 0)]
    found = measured({"A": (0, events)}).requests
    assert np.isnan(found.tpot_s).all()
    assert np.isnan(found.tokens_per_s).all()
    assert len(found.inter_chunk_s()[0]) == 0


def test_a_stream_without_content_has_a_latency_and_no_ttft() -> None:
    """As the page says under "What ends a request"."""
    events = [("role", 50, 0), ("end", 100, 0), ("usage", 110, 0), ("closed", 120, 0)]
    found = measured({"A": (0, events)}).requests
    assert np.isnan(found.ttft_s).all()
    assert found.end_s.tolist() == pytest.approx([0.12])


def test_events_that_arrive_together_have_a_gap_of_zero() -> None:
    """As the page says under "The clock"."""
    events = [("content", 100, 1), ("content", 100, 1), ("end", 200, 0), ("closed", 200, 0)]
    assert measured({"A": (0, events)}).requests.inter_chunk_s()[0].tolist() == [0.0]
