"""The rules of the verdicts, on answers made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.card.answers import Answer, Arm, CardAnswers
from evalharness.card.build import check_answers
from evalharness.card.protocol import protocol_hash
from evalharness.card.result import CardVerdict, CheckResult
from evalharness.records import ErrorKind, Status, Usage

TOPICS = [f"t{number}" for number in range(8)]


def arm(name: str, texts: Sequence[str], **fields: object) -> Arm:
    """Answers with these texts to each of eight prompts."""
    records = [
        Answer(topic=topic, text=f"{topic} {text}", **fields)  # pyright: ignore[reportArgumentType]
        for topic in TOPICS
        for text in texts
    ]
    return Arm(name=name, planned=len(records), records=records)


def row(check: str, *arms: Arm) -> CheckResult:
    rows = check_answers(CardAnswers({a.name: a for a in arms}))
    return next(row for row in rows if row.check == check)


def seed_row(first: str, second: str, without: str) -> CheckResult:
    return row("seed", arm("seed-11", first), arm("seed-12", second), arm("temperature-1", without))


@pytest.mark.parametrize(
    ("first", "second", "without", "verdict"),
    [
        ("aaaa", "bbbb", "cdef", CardVerdict.YES),
        ("aaab", "cccc", "defg", CardVerdict.PARTLY),
        ("abcd", "efgh", "ijkl", CardVerdict.NO),
        ("aaaa", "aaaa", "bcde", CardVerdict.PARTLY),  # whatever the seed, one text
        ("aaaa", "aaaa", "aaaa", CardVerdict.NOT_MEASURABLE),  # nothing varies: a cache?
    ],
)
def test_seed(first: str, second: str, without: str, verdict: CardVerdict) -> None:
    assert seed_row(first, second, without).verdict is verdict


def test_a_stream_of_a_noisy_server_is_judged_by_the_noise_of_what_is_not_streamed() -> None:
    noisy = arm("temperature-0", "aaab")
    assert row("stream", noisy, arm("temperature-0-stream", "abaa")).verdict is CardVerdict.YES
    assert row("stream", noisy, arm("temperature-0-stream", "cccc")).verdict is CardVerdict.NO


def test_no_divergence_has_a_bound_and_is_no_proof() -> None:
    result = row("temperature_0", arm("temperature-0", "aaaa"))
    assert "no divergence among 32 texts of 8 prompts: below 31% of prompts" in result.evidence


def test_texts_that_reasoning_left_no_room_for_are_not_equal_texts() -> None:
    records = [Answer(topic=t, text=None, finish_reason="length") for t in TOPICS for _ in range(4)]
    empty = Arm(name="temperature-0", planned=32, records=records)
    result = row("temperature_0", empty)
    assert result.verdict is CardVerdict.NOT_MEASURABLE
    assert "params.max_tokens" in result.evidence


def test_a_refusal_is_a_verdict_and_other_errors_are_none() -> None:
    def failed(kind: ErrorKind) -> Arm:
        answer = Answer(topic="t", status=Status.ERROR, error_kind=kind, error_message="no n here")
        return Arm(name="n", planned=4, records=[answer] * 4)

    refused = row("n", failed(ErrorKind.BAD_REQUEST))
    assert (refused.verdict, refused.refused) == (CardVerdict.REFUSED, 4)
    assert refused.evidence == "4 of 4 requests refused: no n here"
    lost = row("n", failed(ErrorKind.CONNECTION_LOST))
    assert lost.verdict is CardVerdict.NOT_MEASURABLE
    assert "(4 connection_lost)" in lost.evidence


def test_what_is_refused_now_and_then_is_honoured_partly() -> None:
    answers = [Answer(topic=t, text="x", choices=3) for t in TOPICS]
    no = Answer(topic="t0", status=Status.ERROR, error_kind=ErrorKind.BAD_REQUEST)
    assert row("n", Arm(name="n", planned=9, records=[*answers, no])).verdict is CardVerdict.PARTLY


def test_requests_that_are_not_sent_yet_are_named() -> None:
    result = row("n", Arm(name="n", planned=16, records=[Answer(topic="t", choices=3)]))
    assert result.evidence.endswith("1 of 16 requests `n` are answered, 15 requests not sent yet")


@pytest.mark.parametrize(
    ("usage", "verdict"),
    [
        (Usage(prompt_tokens=5, completion_tokens=10, total_tokens=15), CardVerdict.YES),
        (Usage(prompt_tokens=5, completion_tokens=10, total_tokens=16), CardVerdict.NO),
        (Usage(prompt_tokens=5, completion_tokens=300, total_tokens=305), CardVerdict.NO),
        (Usage(), CardVerdict.NO),
    ],
)
def test_usage(usage: Usage, verdict: CardVerdict) -> None:
    text = "eleven words of plain English that are longer than forty bytes"
    assert row("usage", arm("plain", [text] * 4, usage=usage)).verdict is verdict


def test_without_counts_the_words_of_a_text_show_that_max_tokens_is_ignored() -> None:
    long = arm("max_tokens", ["word " * 40] * 4, finish_reason="stop")
    assert row("max_tokens", long).verdict is CardVerdict.NO
    short = arm("max_tokens", ["word"] * 4, finish_reason="stop")
    assert row("max_tokens", short).verdict is CardVerdict.NOT_MEASURABLE


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=4), min_size=1, max_size=6))
def test_a_seed_that_always_repeats_is_never_called_ignored(rows: list[list[str]]) -> None:
    topics = [str(number) for number in range(len(rows))]
    without = [
        Answer(topic=t, text=text) for t, texts in zip(topics, rows, strict=True) for text in texts
    ]
    arms = [Arm(name="temperature-1", planned=len(without), records=without)]
    for name in ("seed-11", "seed-12"):
        records = [
            Answer(topic=t, text=texts[name == "seed-12"])
            for t, texts in zip(topics, rows, strict=True)
            for _ in range(4)
        ]
        arms.append(Arm(name=name, planned=len(records), records=records))
    assert row("seed", *arms).verdict is not CardVerdict.NO


def test_the_requests_of_protocol_1_do_not_change() -> None:
    """Another request is another version: VERSION, the rows' `protocol`, and this hash."""
    assert protocol_hash() == "4c1c2bf95e880257c17724d0c8496d37"
