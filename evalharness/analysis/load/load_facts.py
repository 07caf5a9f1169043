"""The facts of one measurement of a load point, and what makes it invalid."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evalharness.analysis.data.json_values import JsonValues
from evalharness.analysis.latency import ENOUGH_FOR_P99
from evalharness.analysis.load.load_metrics import Goodput, MetricSummary, TimeMetrics
from evalharness.config.models import LoadConfig
from evalharness.store.folder.load_points_file import MeasurementState, WorkerClock


class RequestCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests a measurement had.

    Attributes:
        scheduled: measured requests that were due in the window.
        sent: measured requests that were sent.
        delivered: measured requests with an answer.
        failed: measured requests that ended in an error.
        retries: further attempts of measured requests.
        warmup: requests sent before the measured ones; in no figure.
        not_sent: attempts that were given up before they were sent.
        background: requests of ``load.background`` beside the measured ones; in no figure.
    """

    scheduled: int
    sent: int
    delivered: int
    failed: int
    retries: int
    warmup: int
    not_sent: int
    background: int = 0


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """The conversations of a measurement, and its requests that are no turns of any.

    Attributes:
        arrived: those that arrived in the window.
        requested_per_s: ``load.rate``; null of a closed loop, a ramp and a replay.
        arrived_per_s: those that arrived / the time in which they did; null where that is none.
        requested_in_flight: those to keep in flight, of a closed loop; null of an open one. One is
            in flight from its first request to its last answer, while its user thinks as well.
    """

    arrived: int
    requested_per_s: float | None
    arrived_per_s: float | None
    requested_in_flight: int | None


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in flight.

    Attributes:
        requested: those to keep in flight, of a closed loop, its background included; null of an
            open one, and where conversations are kept in flight.
        mean: ∫ requests in flight dt / T over the window, from sending to the end of the response,
            failed ones included; null where the load was never held.
        most: the most at any moment, warm-up included.
    """

    requested: int | None
    mean: float | None
    most: int


class LoadError(msgspec.Struct, frozen=True, kw_only=True):
    """A cause of failed attempts.

    Attributes:
        error_kind: the kind of error; null unknown.
        http_status: of the response; null without one.
        attempts: measured attempts that failed so.
    """

    error_kind: str | None
    http_status: int | None
    attempts: int


class ClockSkew(msgspec.Struct, frozen=True, kw_only=True):
    """The clocks of several workers, by exchanges with them before and after a measurement.

    Attributes:
        workers: that measured it together.
        offset_s: the most that a worker's wall clock was ahead of the command's, or behind it; it
            is taken off every instant.
        error_s: the most by which instants of a worker may be wrong all the same: half of the
            shortest round trip, and what the offset changed by; null where that is unknown.
    """

    workers: int
    offset_s: float
    error_s: float | None

    @classmethod
    def of(cls, clocks: Sequence[WorkerClock]) -> ClockSkew | None:
        """The skew of the workers' clocks; None where one process measured."""
        if not clocks:
            return None
        drifts = [clock.drift_s for clock in clocks]
        errors = [
            clock.error_s + abs(drift)
            for clock, drift in zip(clocks, drifts, strict=True)
            if drift is not None
        ]
        return cls(
            workers=len(clocks),
            offset_s=max(abs(clock.offset_s) for clock in clocks),
            error_s=max(errors) if len(errors) == len(clocks) else None,
        )


class LoadFacts(TimeMetrics, frozen=True, kw_only=True):
    """One measurement: the load asked for, the load achieved, and its times.

    The window is the time for which the load was held; its length is T. The times are those of
    the delivered requests of the measured phase.

    Attributes:
        measurement: its number in ``load.json``, which records carry.
        load: the configured load, with the rate that applied.
        searched: whether it is a step of a search.
        state: ``complete``, or ``cut`` by a stop condition of the load.
        reason: the stop condition that ended it early; null where none did.
        window_s: T in seconds; null where the load was never held, as are all rates then.
        requests: how many requests were due, sent, answered, failed.
        requested_rate: measured requests due in the window / T; null of a closed loop.
        achieved_rate: those of them that were sent before the window's end / T.
        throughput_per_s: answers completed in the window / T, from whichever phase; requests sent
            before the window that complete in it stand for those sent in the window that complete
            after it.
        completed: how many answers those are; both rates and their intervals are of them.
        output_tokens_per_s: the completion tokens of those answers / T, by the server's usage; null
            where one of them has none.
        throughput_ci95, output_tokens_ci95: 95 % intervals of the two rates of answers completed in
            the window, over 20 stretches of it; null where they are undefined.
        concurrency: the requests in flight.
        schedule_delay_s: seconds from being due to being sent, of first attempts.
        admission_delay_s: seconds from being due to being admitted by all limits, of first
            attempts.
        client_lag_s: seconds that the event loop ran late: ``n`` probes, ``p50``, ``p99``, ``max``;
            null unknown; of several workers the latest.
        goodput: the requests that met the SLO; null without one.
        errors: failed attempts of the measured phase by cause, commonest first.
        invalid: why the measurement does not represent its load; empty when it does.
        valid: whether ``invalid`` is empty.
        sessions: the conversations; null where no row has turns.
        clocks: how well the clocks of several workers agree; null where one process measured.
    """

    measurement: int
    load: JsonValues
    searched: bool
    state: str
    reason: str | None
    window_s: float | None
    requests: RequestCounts
    requested_rate: float | None
    achieved_rate: float | None
    throughput_per_s: float | None
    output_tokens_per_s: float | None
    concurrency: InFlight
    schedule_delay_s: MetricSummary
    admission_delay_s: MetricSummary
    client_lag_s: dict[str, float | None] | None
    goodput: Goodput | None
    errors: list[LoadError]
    invalid: list[str]
    valid: bool
    clocks: ClockSkew | None = None
    sessions: Sessions | None = None
    throughput_ci95: list[float] | None = None
    completed: int = 0
    output_tokens_ci95: list[float] | None = None

    def meets_goodput(self, share: float) -> bool | None:
        """Whether a share of its requests or more met the SLO; None where that is not known.

        A measurement cut short by its own conditions, which an overrun server meets, did not. One
        that is invalid because of the client says nothing about the server.
        """
        if self.state != MeasurementState.COMPLETE.value:
            return False
        if not self.valid or self.goodput is None or self.goodput.share is None:
            return None
        return self.goodput.share >= share


def invalid_reasons(facts: LoadFacts, load: LoadConfig) -> list[str]:
    """Why a measurement does not represent its load; empty when it does.

    Each reason is a fault of the client: it sent late or too little, or its event loop was busy, so
    that its clock readings are late. What the server did is never a reason.
    """
    reasons: list[str] = []
    worst, name = _tail(facts.schedule_delay_s)
    by_schedule = load.arrival != "closed" or facts.sessions is not None
    if by_schedule and worst is not None and worst > load.max_delay_s:
        waited, _ = _tail(facts.admission_delay_s)
        where = ", mostly before it had a place in flight" if (waited or 0) > worst / 2 else ""
        reasons.append(
            f"requests were sent {worst:.3g} s after they were due ({name}{where}); "
            f"load.max_delay_s={load.max_delay_s:g}"
        )
    requested, achieved, unit = facts.requested_rate, facts.achieved_rate, "requests/s"
    if load.arrival == "closed" and facts.sessions is None:
        requested, achieved, unit = facts.concurrency.requested, facts.concurrency.mean, "in flight"
    if requested and facts.window_s and (achieved or 0.0) < load.min_rate_share * requested:
        reasons.append(
            f"{achieved or 0:.3g} {unit} of {requested:.3g} asked for; "
            f"load.min_rate_share={load.min_rate_share:g}"
        )
    if not facts.window_s:
        reasons.append("the load was never held: more requests or seconds are needed")
    lag = None if facts.client_lag_s is None else facts.client_lag_s.get("p99")
    if lag is not None and lag > load.max_delay_s:
        reasons.append(
            f"the client's event loop was {lag:.3g} s late (p99): its times are too long"
        )
    error_s = None if facts.clocks is None else facts.clocks.error_s
    if error_s is not None and error_s > load.max_delay_s:
        reasons.append(
            f"the clocks of its workers agree only to {error_s:.3g} s; "
            f"load.max_delay_s={load.max_delay_s:g}"
        )
    return reasons


def _tail(summary: MetricSummary) -> tuple[float | None, str]:
    """The largest figure that is worth naming, and its name: the p99, or the maximum of few."""
    if summary.n >= ENOUGH_FOR_P99:
        return summary.p99, "p99"
    return summary.max, f"the latest of {summary.n}"
