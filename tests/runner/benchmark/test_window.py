"""Warm-up, the measured window and its end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalharness.config.models import LoadConfig
from evalharness.records import Phase
from evalharness.runner.benchmark.window import MeasurementWindow


@given(st.integers(0, 20), st.integers(1, 50), st.floats(0.01, 10))
def test_n_requests_have_n_gaps(warm: int, count: int, gap: float) -> None:
    """Counted windows measure the rate without bias: from the first due to the next to come."""
    window = MeasurementWindow(LoadConfig(warmup_requests=warm), count)
    phases = [window.next_phase(i * gap) for i in range(warm + count + 3)]
    assert phases == [Phase.WARMUP] * warm + [Phase.MEASURED] * count + [None] * 3
    assert window.begin_s == warm * gap
    assert window.end_s == (warm + count) * gap
    assert window.scheduled == count
    assert window.max_requests == warm + count


@given(st.floats(0, 5), st.floats(0.5, 5), st.floats(0.05, 0.4))
def test_a_window_of_seconds_begins_where_warm_up_ends(
    warm: float, seconds: float, gap: float
) -> None:
    window = MeasurementWindow(LoadConfig(warmup_s=warm, duration_s=seconds), None)
    at, taken = 0.0, []
    while (phase := window.next_phase(at)) is not None:
        taken.append((at, phase))
        at += gap
    assert window.begin_s == warm
    assert window.end_s == warm + seconds
    assert all((phase is Phase.WARMUP) == (t < warm) for t, phase in taken)
    assert window.max_requests is None


def test_a_window_that_is_cut_short_ends_there() -> None:
    window = MeasurementWindow(LoadConfig(), 10)
    window.next_phase(1.0)
    window.close(3.0)
    assert (window.begin_s, window.end_s, window.next_phase(4.0)) == (1.0, 3.0, None)


def test_a_replay_ends_one_mean_gap_after_its_last_request() -> None:
    window = MeasurementWindow(LoadConfig(arrival="replay", column="t"), 3)
    for at in (0.0, 1.0, 4.0):
        window.next_phase(at)
    window.close()
    assert window.end_s == 6.0


def test_a_window_that_never_began_stays_unknown() -> None:
    window = MeasurementWindow(LoadConfig(warmup_requests=5), 10)
    window.next_phase(0.0)
    window.close(1.0)
    assert window.begin_s is None
