"""Load points one after the other, and how they are stopped."""

from __future__ import annotations

from collections.abc import Mapping

from evalharness.errors import StorageError
from evalharness.planning.plan import Plan
from evalharness.runner.benchmark.attempts import Attempts
from evalharness.runner.benchmark.load_point import Point, Session
from evalharness.runner.budget import Money
from evalharness.runner.endpoint import Lane
from evalharness.runner.loop_lag import Lateness, watching
from evalharness.runner.progress import Progress
from evalharness.runner.run_summary import Stop, Summary
from evalharness.store.folder.load_points_file import Measurement, State
from evalharness.store.folder.writer import RunStore
from evalharness.throttle.clock import Clock, SystemClock


class LoadRunner:
    """Measures load points.

    Args:
        plan: what to ask.
        store: where it goes; opened, its plan saved, started.
        lanes: one per provider name.
        money: reservations and costs.
        progress: told about everything that happens.
        clock: where time comes from; None is the machine's.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        lanes: Mapping[str, Lane],
        *,
        money: Money,
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._attempts = Attempts(
            plan, store, lanes, money=money, progress=progress, clock=self._clock
        )
        self._lanes = lanes
        self._drain_s = plan.config.limits.drain_s
        self._session: Session | None = None
        store.on_failure = self._storage_failed

    @property
    def summary(self) -> Summary:
        """What this session of the run did."""
        return self._attempts.summary

    async def measure(self, point: Point, into: Measurement) -> None:
        """Measure one load point; ``into`` is completed in place.

        A run that is being stopped leaves it ``interrupted``.
        """
        if self.summary.stop is not None:
            into.state = State.INTERRUPTED
            return
        self._session = session = Session(point, into, self._attempts, self._clock, self.stop)
        try:
            lag = Lateness()
            async with watching(lag):
                await session.run(self._drain_s)
            into.lag_s = lag.figures()
        finally:
            self._session = None

    def stop(self, decision: Stop) -> None:
        """Start nothing new, in this load point or any other; what is in flight may finish."""
        self.summary.decide(decision)
        if self._session is not None:
            self._session.interrupt()
        for lane in self._lanes.values():
            lane.gate.close()

    def abandon(self) -> None:
        """Do not wait for what is in flight: it is recorded as in doubt."""
        if self._session is not None:
            self._session.abandon()

    def _storage_failed(self, error: StorageError) -> None:
        self.stop(Stop.because(error))
