"""Load points one after the other, and how they are stopped."""

from __future__ import annotations

from collections.abc import Mapping

from evalharness.errors import StorageError
from evalharness.planning.plan import Plan
from evalharness.runner.benchmark.attempts import BenchmarkSender
from evalharness.runner.benchmark.load_point import LoadPointPlan, LoadPointRunner
from evalharness.runner.budget import RunBudget
from evalharness.runner.endpoint import EndpointRuntime
from evalharness.runner.loop_lag import LatencyHistogram, watch_loop
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import RunSummary, StopReason
from evalharness.store.folder.load_points_file import Measurement, MeasurementState
from evalharness.store.folder.writer import RunStore
from evalharness.throttle.clock import Clock, SystemClock


class LoadRunner:
    """Measures load points.

    Args:
        plan: what to ask.
        store: where it goes; opened, its plan saved, started.
        endpoints: one per provider name.
        budget: for reservations and costs.
        progress: shows what happens.
        clock: where time comes from; None is the machine's.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        endpoints: Mapping[str, EndpointRuntime],
        *,
        budget: RunBudget,
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._attempts = BenchmarkSender(
            plan, store, endpoints, budget=budget, progress=progress, clock=self._clock
        )
        self._endpoints = endpoints
        self._drain_s = plan.config.limits.drain_s
        self._current: LoadPointRunner | None = None
        store.on_failure = self._storage_failed

    @property
    def summary(self) -> RunSummary:
        """What this session of the run did."""
        return self._attempts.summary

    async def measure(self, plan: LoadPointPlan, measurement: Measurement) -> None:
        """Measure one load point; ``measurement`` is completed in place.

        Its state is ``interrupted`` where the run is being stopped.
        """
        if self.summary.stop is not None:
            measurement.state = MeasurementState.INTERRUPTED
            return
        self._current = point_runner = LoadPointRunner(
            plan, measurement, self._attempts, self._clock, self.stop
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

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        if self._current is not None:
            self._current.abandon()

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(StopReason.from_error(error))
