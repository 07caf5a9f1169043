"""The offset between two clocks, and what is made of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalharness.analysis.load.load_facts import ClockSkew
from evalharness.distributed.benchmark.clock_offset import (
    ClockExchange,
    ClockOffset,
    ClockReading,
    clock_offset,
)
from evalharness.distributed.benchmark.shares import merge_shares, worker_clock
from evalharness.distributed.benchmark.worker import on_driver_clock
from evalharness.records import AttemptResult, Intent, Outcome, Reply, Status
from evalharness.store.folder.load_points_file import Measurement, MeasurementState

DELAYS = st.floats(0.0, 2.0)


@given(
    ahead_s=st.floats(-1e5, 1e5),
    wall_ahead_s=st.floats(-1e5, 1e5),
    delays=st.lists(st.tuples(DELAYS, DELAYS), min_size=1, max_size=9),
)
def test_the_offset_is_within_its_error_whichever_way_took_longer(
    ahead_s: float, wall_ahead_s: float, delays: list[tuple[float, float]]
) -> None:
    exchanges: list[ClockExchange] = []
    now = 1000.0
    for there, back in delays:
        exchanges.append(
            ClockExchange(
                _ours(now),
                ClockReading(now + there + ahead_s, _ours(now + there + wall_ahead_s).wall_ns),
                _ours(now + there + back),
            )
        )
        now += there + back
    found = clock_offset(exchanges)
    assert found.error_s <= min(there + back for there, back in delays) / 2 + 1e-6
    assert abs(found.monotonic_s - ahead_s) <= found.error_s + 1e-6
    assert abs(found.wall_s - wall_ahead_s) <= found.error_s + 1e-6


def _ours(at: float) -> ClockReading:
    return ClockReading(at, 10**18 + round(at * 1e9))


def test_a_clock_that_was_set_meanwhile_is_no_certain_clock() -> None:
    clocks = [
        worker_clock("a", ClockOffset(5.0, -0.25, 0.001), ClockOffset(5.0, -0.25, 0.002)),
        worker_clock("b", ClockOffset(9.0, 0.125, 0.001), ClockOffset(9.0, 0.375, 0.001)),
    ]
    skew = ClockSkew.of(clocks)
    assert skew is not None
    assert (skew.workers, skew.offset_s, skew.error_s) == (2, 0.25, 0.251)
    unknown = worker_clock("c", ClockOffset(0.0, 0.0, 0.001), None)
    assert ClockSkew.of([*clocks, unknown]).error_s is None  # pyright: ignore[reportOptionalMemberAccess]
    assert ClockSkew.of([]) is None


def test_every_instant_of_an_attempt_is_moved() -> None:
    intent = Intent("t", "p", "s", 0, 0, 1, "c", admitted_at_ns=1_000, in_flight=1)
    reply = Reply(outcome=Outcome.DELIVERED, status=Status.OK, sent_at_ns=1_200, latency_s=3.0)
    result = AttemptResult(intent, reply, final=True, scheduled_at_ns=900, queue_s=0.1)
    moved = on_driver_clock(result, 800)
    assert isinstance(moved, AttemptResult)
    assert moved.intent.admitted_at_ns == 200
    assert moved.reply.sent_at_ns == 400
    assert moved.scheduled_at_ns == 100
    assert (moved.queue_s, moved.reply.latency_s) == (0.1, 3.0)


def test_shares_make_one_window() -> None:
    def share(
        begin: float | None, end: float | None, scheduled: int, **more: object
    ) -> Measurement:
        state = MeasurementState(str(more.get("state", "complete")))
        return Measurement(
            number=1, settings=[], load={}, state=state, begin_s=begin, end_s=end,
            scheduled=scheduled, lag_s={"p99": end},
        )  # fmt: skip

    closed = Measurement(number=1, settings=[], load={"arrival": "closed"})
    shares = [share(0.5, 4.0, 30), share(0.25, 3.0, 20), share(None, None, 0)]
    merge_shares(closed, shares)
    assert (closed.begin_s, closed.end_s, closed.scheduled) == (0.25, 4.0, 50)
    assert closed.lag_s == {"p99": 4.0}
    assert closed.state is MeasurementState.COMPLETE
    opened = Measurement(number=1, settings=[], load={"arrival": "poisson"})
    merge_shares(opened, [share(1.0, 3.0, 90), share(1.0, 3.0, 90, state="cut")])
    assert (opened.begin_s, opened.end_s, opened.scheduled) == (1.0, 3.0, 90)
    assert opened.state is MeasurementState.CUT
