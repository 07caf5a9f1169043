"""The knee of servers whose curve is known, with few points."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.benchmark import LoadSweepConfig
from evalharness.planning.knee_search import KneeSearch, StepResult, SweepStep

Server = Callable[[SweepStep], StepResult]


def batching(alone_s: float, each_s: float, noise: Callable[[], float] = lambda: 1.0) -> Server:
    """Each request in flight makes all others later: latency a + b·n, at most 1 / b answers/s."""

    def answer(step: SweepStep) -> StepResult:
        if step.over == "concurrency":
            latency = (alone_s + each_s * step.value) * noise()
            return StepResult(step.value / latency, latency)
        busy = step.value * each_s
        if busy >= 1:
            return StepResult(None, None, is_held=False)
        latency = alone_s / (1 - busy) * noise()
        return StepResult(step.value, latency)

    return answer


def hinged(rate: float, latency_s: float) -> Server:
    """Flat up to a rate, and never above it: a queue of fixed times, watched for 60 of them."""

    def answer(step: SweepStep) -> StepResult:
        if step.over == "concurrency":
            latency = max(latency_s, step.value / rate)
            return StepResult(step.value / latency, latency)
        if step.value <= rate:
            return StepResult(step.value, latency_s)
        return StepResult(rate, latency_s * (1 + 30 * (step.value / rate - 1)))

    return answer


def sweep(server: Server, config: LoadSweepConfig | None = None) -> KneeSearch:
    search = KneeSearch(config or LoadSweepConfig())
    while (step := search.next_step()) is not None:
        search.observe(step, server(step))
    return search


@given(
    alone=st.floats(0.01, 20),
    share=st.floats(0.002, 0.2),
    seed=st.integers(0, 1_000),
)
def test_the_knee_of_a_batching_server_is_half_of_its_saturation(
    alone: float, share: float, seed: int
) -> None:
    rng = random.Random(seed)
    each = share * alone
    server = batching(alone, each, lambda: rng.uniform(0.99, 1.01))
    search = sweep(server, LoadSweepConfig(max_concurrency=1024))
    # One request at a time takes a + b, so twice of it is reached a little above half of 1 / b.
    true = (1 - alone / (2 * (alone + each))) / each
    assert search.n_tried <= 8
    assert search.low is not None
    assert search.high is not None
    assert search.knee_rate == pytest.approx(true, rel=0.1)


@given(rate=st.floats(0.2, 500), places=st.floats(1.0, 60.0))
def test_the_knee_of_a_hinged_server_is_where_it_is_planted(rate: float, places: float) -> None:
    search = sweep(hinged(rate, places / rate), LoadSweepConfig(max_concurrency=256))
    assert search.n_tried <= 8
    assert search.knee_rate == pytest.approx(rate, rel=0.1)
    assert search.low is not None
    assert search.high is not None
    # Within 60 answers' time a load 3 % too high does not double the median latency yet.
    assert search.low <= 1.04 * rate
    assert search.high >= rate
    assert search.high - search.low <= 0.1 * search.high


def test_points_over_concurrency_stand_around_the_knee() -> None:
    steps: list[float] = []
    server = hinged(10, 1.6)  # 16 requests in flight fill it

    def noting(step: SweepStep) -> StepResult:
        assert step.over == "concurrency"
        steps.append(step.value)
        return server(step)

    sweep(noting, LoadSweepConfig(over="concurrency"))
    assert steps == [1, 64, 16, 32, 8, 4, 24, 12]


def test_a_client_that_is_the_limit_makes_the_result_one_sided() -> None:
    server = hinged(1000, 0.05)

    def limited(step: SweepStep) -> StepResult:
        result = server(step)
        if step.over == "rate" and step.value > 300:
            return StepResult(None, None, is_valid=False)
        return result

    search = sweep(limited, LoadSweepConfig(max_concurrency=8))
    assert search.high is None
    assert search.knee_rate is None
    assert search.low is not None
    assert search.low <= 300
    assert {step.value > 300 for step in search.unmeasured} == {True}


def test_no_rate_is_above_max_rate() -> None:
    tried: list[float] = []

    def noting(step: SweepStep) -> StepResult:
        tried.append(step.value if step.over == "rate" else 0)
        return hinged(100, 0.1)(step)

    search = sweep(noting, LoadSweepConfig(max_rate=40))
    assert max(tried) == 40
    assert (search.low, search.high) == (40, None)


def test_a_server_that_fails_when_it_is_full_is_still_measured() -> None:
    """Nothing is known of its saturation; rates are raised from what one request achieves."""

    def refusing(step: SweepStep) -> StepResult:
        many = step.over == "concurrency" and step.value > 10
        return StepResult(None, None, is_held=False) if many else hinged(10, 0.5)(step)

    search = sweep(refusing, LoadSweepConfig(points=12))
    assert search.low is not None
    assert search.high is not None
    assert search.low <= 10 <= search.high


def test_nothing_follows_where_one_request_at_a_time_was_not_measured() -> None:
    search = sweep(lambda _: StepResult(None, None, is_valid=False))
    assert search.n_tried == 1
    assert search.knee_rate is None


@given(share=st.floats(0.85, 1.15))
def test_rates_count_as_requests_were_due(share: float) -> None:
    """By chance, and one seed, all arrivals of a sweep are thinner or denser than asked for."""
    server = hinged(10, 0.5)

    def by_chance(step: SweepStep) -> StepResult:
        if step.over == "concurrency":
            return server(step)
        rate = step.value * share
        return server(SweepStep("rate", rate))._replace(rate=rate)

    search = sweep(by_chance)
    assert search.n_tried <= 8
    assert search.knee_rate == pytest.approx(10, rel=0.1)
    assert search.low_step is not None
    assert search.low == pytest.approx(search.low_step.value * share)
