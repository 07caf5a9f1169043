"""Figures against values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.load.load_metrics import (
    delivered_requests,
    goodput,
    time_metrics,
)
from evalharness.analysis.load.summary import DependentGroups, summarize
from evalharness.schema import arrow_schema

NS = 1_000_000_000


def records(rows: list[dict[str, Any]]) -> pa.Table:
    fixed = {
        "trial_id": "t", "prompt_id": "p", "setting_id": "s", "repeat": 0, "status": "ok",
        "in_doubt": False, "text_sanitized": False, "sent_at": 100 * NS, "queue_s": 0.0,
    }  # fmt: skip
    return pa.Table.from_pylist([{**fixed, **row} for row in rows], schema=arrow_schema("records"))


def independent(n: int) -> DependentGroups:
    """Requests of different prompts, in their order."""
    return DependentGroups.of(np.arange(float(n)), np.arange(n))


def requests(*rows: dict[str, Any]) -> Any:
    return delivered_requests(records(list(rows)), ["s"], 99.0, {})


def test_tpot_is_the_time_after_the_first_token_by_the_tokens_after_it() -> None:
    found = requests(
        {"ttft_s": 0.5, "last_content_s": 2.5, "latency_s": 2.6, "completion_tokens": 11},
        {"ttft_s": 0.5, "last_content_s": 0.5, "latency_s": 0.6, "completion_tokens": 1},
        {"ttft_s": 0.5, "last_content_s": 2.5, "latency_s": 2.6, "completion_tokens": None},
    )
    assert found.tpot_s[0] == pytest.approx(0.2)
    assert np.isnan(
        found.tpot_s[1:]
    ).all()  # one token has no time per further one; unknown stays so
    assert found.tokens_per_s[0] == pytest.approx(5)


def test_latency_ends_at_the_last_content_or_at_the_response_where_nothing_was_streamed() -> None:
    found = requests(
        {"ttft_s": 0.5, "last_content_s": 2.0, "latency_s": 2.4},
        {"latency_s": 2.4},
    )
    assert found.end_s.tolist() == [2.0, 2.4]


def test_gaps_between_chunks_are_pooled_and_are_not_tokens() -> None:
    found = requests(
        {"chunk_times_s": [0.1, 0.2, 0.4], "completion_tokens": 30},
        {"chunk_times_s": [1.0]},
        {"chunk_times_s": None},
        {"chunk_times_s": [0.0, 0.3]},
    )
    gaps, of_request = found.inter_chunk_s()
    assert gaps.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert of_request.tolist() == [0, 0, 3]
    only_last = np.array([False, False, False, True])
    assert found.inter_chunk_s(only_last)[0].tolist() == pytest.approx([0.3])


def test_times_from_schedule_are_those_from_sending_plus_the_wait() -> None:
    found = time_metrics(
        requests(
            {"ttft_s": 0.2, "last_content_s": 1.0, "queue_s": 3.0},
            {"ttft_s": 0.4, "last_content_s": 1.0, "queue_s": 0.0},
        )
    )
    assert found.ttft_s.sent.p50 == pytest.approx(0.3)
    assert found.ttft_s.scheduled.p50 == pytest.approx(1.8)
    assert found.latency_s.scheduled.max == pytest.approx(4.0)


def test_a_retried_request_waited_since_its_first_attempt_was_due() -> None:
    table = records([{"trial_id": "a", "queue_s": 0.0, "ttft_s": 0.1}])
    assert delivered_requests(table, ["s"], 99.0, {"a": 93.0}).wait_s[0] == pytest.approx(7.0)


@given(st.lists(st.floats(0, 1e3), max_size=150))
def test_p99_is_withheld_below_a_hundred_values(values: list[float]) -> None:
    found = summarize(np.array(values, np.float64), independent(len(values)))
    assert found.n == len(values)
    assert (found.p99 is None) == (len(values) < 100)
    percentiles = (found.p50, found.p90, found.p95, found.max)
    if not values:
        assert percentiles == (None,) * 4
        return
    assert list(percentiles) == sorted(p for p in percentiles if p is not None)
    for name, value in (("p50", found.p50), ("p95", found.p95)):
        low, high = found.ci95[name] or (None, None)
        assert value is not None
        assert low is None or low <= value
        assert high is None or high >= value


def test_goodput_keeps_failures_in_the_denominator_and_counts_from_schedule() -> None:
    found = requests(
        {"ttft_s": 0.2, "last_content_s": 1.0, "completion_tokens": 9},
        {"ttft_s": 0.2, "last_content_s": 1.0, "completion_tokens": 9, "queue_s": 5.0},
        {"ttft_s": 0.2, "last_content_s": 9.0, "completion_tokens": 9},
        {"ttft_s": 0.2, "last_content_s": 1.0, "completion_tokens": None},
        {"ttft_s": 0.2, "last_content_s": 0.2, "completion_tokens": 1},
    )
    slo = {"ttft_s": 1.0, "tpot_s": 0.2, "latency_s": 2.0}
    good = goodput(found, slo, total=10, window_s=4.0)
    assert good is not None
    assert good.share == 0.2  # the first and the last, of ten due: five were never answered
    assert good.share_sent == pytest.approx(0.3)
    assert good.per_s == 0.5
    assert good.unjudged == 1  # without usage there is no TPOT: a miss that is told
    assert goodput(found, {}, 10, 4.0) is None


def test_an_answer_in_one_piece_is_in_no_tpot_and_not_judged_by_it() -> None:
    found = requests(
        {"ttft_s": 0.2, "last_content_s": 0.2, "completion_tokens": 100},
        {"ttft_s": 0.2, "last_content_s": 0.4, "completion_tokens": 101},
    )
    assert time_metrics(found).tpot_s.n == 1
    assert time_metrics(found).tokens_per_s.p50 == pytest.approx(500)
    judged = goodput(found, {"tpot_s": 0.05}, total=2, window_s=1.0)
    assert judged is not None
    assert (judged.good, judged.unjudged) == (1, 1)
    by_latency = goodput(found, {"latency_s": 0.5}, total=2, window_s=1.0)
    assert by_latency is not None
    assert (by_latency.good, by_latency.unjudged) == (2, 0)


def test_what_depends_on_prompt_or_time_is_not_independent() -> None:
    """400 requests whose prompt, or whose minute, decides the time: few independent values."""
    rng = np.random.default_rng(0)
    n = 400
    sent, prompt = np.arange(float(n)), np.arange(n) % 10
    groups = DependentGroups.of(sent, prompt)
    by_prompt = summarize(rng.random(10)[prompt], groups)
    assert by_prompt.unit == "prompt"
    assert by_prompt.ci95["p95"] is not None
    assert by_prompt.ci95["p95"][1] is None  # ten prompts bound no p95
    slow_minutes = summarize(rng.random(20)[groups.time] + 0.01 * rng.random(n), groups)
    assert slow_minutes.unit == "time"
    assert slow_minutes.ci95["p95"] is not None
    assert slow_minutes.ci95["p95"][1] is None  # nor do twenty stretches of time
    free = summarize(rng.random(n), groups)
    assert free.ci95["p95"] is not None
    assert free.ci95["p95"][1] is not None
