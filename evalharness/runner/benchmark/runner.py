"""Load points one after the other, and how they are stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from evalharness.errors import StorageError
from evalharness.runner.benchmark.attempts import BenchmarkSender
from evalharness.runner.benchmark.load_point import LoadPointRunner
from evalharness.runner.benchmark.point import LoadPointTask, load_point_plan
from evalharness.runner.benchmark.point_plan import LoadPointPlan
from evalharness.runner.context import RunContext
from evalharness.runner.loop_lag import LatencyHistogram, watch_loop
from evalharness.runner.run_summary import StopReason
from evalharness.store.folder.load_points_file import Measurement, MeasurementState
from evalharness.throttle.clock import Clock, SystemClock


class LoadRunner:
    """Measures load points.

    Args:
        context: its store is started.
        clock: where time comes from; None is the machine's.

    Attributes:
        summary: what this session of the run did.
    """

    def __init__(self, context: RunContext, *, clock: Clock | None = None) -> None:
        self.summary = context.summary
        self._plan = context.plan
        self._clock = clock or SystemClock()
        self._attempts = BenchmarkSender(context, self._clock)
        self._endpoints = context.endpoints
        self._drain_s = context.plan.config.limits.drain_s
        self._current: LoadPointRunner | None = None
        context.store.on_failure = self._storage_failed

    async def measure_point(self, point: LoadPointTask, measurement: Measurement) -> None:
        """Measure a load point as :meth:`measure` does."""
        await self.measure(load_point_plan(self._plan, point), measurement)

    async def measure(
        self,
        plan: LoadPointPlan,
        measurement: Measurement,
        wait_for_anchor: Callable[[], Awaitable[float]] | None = None,
    ) -> None:
        """Measure one load point; ``measurement`` is completed in place.

        Its state is ``interrupted`` where the run is being stopped. ``wait_for_anchor`` as in
        :class:`.load_point.LoadPointRunner`.
        """
        if self.summary.stop is not None:
            measurement.state = MeasurementState.INTERRUPTED
            return
        self._current = point_runner = LoadPointRunner(
            plan, measurement, self._attempts, self._clock, self.stop, wait_for_anchor
        )
        try:
            lag = LatencyHistogram()
            async with watch_loop(lag):
                await point_runner.run(self._drain_s)
            measurement.lag_s = lag.as_dict()
        finally:
            self._current = None

    def stop(self, decision: StopReason) -> None:
        """Start nothing new, in this load point or any other; what is in flight may finish."""
        self.summary.set_stop(decision)
        if self._current is not None:
            self._current.interrupt()
        for endpoint in self._endpoints.values():
            endpoint.limiter.close()

    def cut_short(self, reason: str) -> None:
        """End the load point by one of its own conditions, which another worker met."""
        if self._current is not None:
            self._current.cut_short(reason)

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        if self._current is not None:
            self._current.abandon()

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(StopReason.from_error(error))
