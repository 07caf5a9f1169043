"""A benchmark in virtual time: the real pacing and analysis, a server and a disk made of code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalharness.analysis.load.load_point import LoadPointResult, describe_load_point
from evalharness.cli.execution.prepare import prepare
from evalharness.config.models import RunConfig, parse_run_config
from evalharness.planning.load_points import (
    group_by_load_point,
    load_from_identity,
    measured_requests,
)
from evalharness.planning.plan import Plan
from evalharness.planning.replay_times import replay_times
from evalharness.records import (
    AttemptResult,
    ErrorKind,
    Intent,
    Outcome,
    Prompt,
    Reply,
    Status,
    Usage,
)
from evalharness.runner import EndpointRuntime
from evalharness.runner.benchmark import LoadPointPlan, LoadRunner
from evalharness.runner.budget import RunBudget
from evalharness.runner.context import RunContext
from evalharness.runner.progress import LineProgress
from evalharness.store.folder.load_points_file import Measurement
from evalharness.store.parts.setting_columns import columns_by_setting
from evalharness.store.parts.to_arrow import attempt_table, record_table
from evalharness.throttle.limiter import EndpointLimiter
from evalharness.throttle.output_token_estimate import TokenEstimator
from tests.throttle.manual_clock import ManualClock

TOKENS = 11


class Server:
    """Answers after ``service_s``, at most ``workers`` at a time; ``status_of`` may refuse a request.

    ``status_of`` is given the request's number, from 0, and returns an HTTP status (200 is an answer).
    """

    def __init__(
        self,
        clock: ManualClock,
        service_s: float,
        workers: int = 10_000,
        status_of: Callable[[int], int] = lambda _: 200,
    ) -> None:
        self.received: list[float] = []
        self.max_in_flight = self.in_flight = 0
        self._clock = clock
        self._service_s = service_s
        self._workers = asyncio.Semaphore(workers)
        self._status_of = status_of

    async def complete(
        self,
        body: bytes,
        client_request_id: str,
        *,
        prompt: Prompt | None = None,
        keep_chunk_times: bool = False,
    ) -> Reply:
        assert json.loads(body)["messages"]
        assert prompt is not None
        assert keep_chunk_times
        began, sent_at_ns, number = (
            self._clock.monotonic(),
            self._clock.now_ns(),
            len(self.received),
        )
        self.received.append(began)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            async with self._workers:
                status = self._status_of(number)
                if status == 200:
                    await self._clock.sleep_until(self._clock.monotonic() + self._service_s)
        finally:
            self.in_flight -= 1
        took = self._clock.monotonic() - began
        if status != 200:
            return Reply(
                outcome=Outcome.REJECTED, status=Status.ERROR, http_status=status,
                error_kind=ErrorKind.RATE_LIMITED if status == 429 else ErrorKind.SERVER_ERROR,
                sent_at_ns=sent_at_ns, latency_s=took,
            )  # fmt: skip
        first, last = took - self._service_s / 2, took
        times = [first + (last - first) * i / (TOKENS - 1) for i in range(TOKENS)]
        return Reply(
            outcome=Outcome.DELIVERED, status=Status.OK, http_status=200, text="x",
            usage=Usage(completion_tokens=TOKENS), sent_at_ns=sent_at_ns, ttft_s=first,
            ttfo_s=first, last_content_s=last, latency_s=took, chunk_times_s=times,
        )  # fmt: skip


class Disk:
    """Keeps what is appended; every write is durable at once."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.results: list[AttemptResult] = []
        self.on_failure: Any = None

    def append(self, value: Intent | AttemptResult) -> asyncio.Future[None]:
        self.put(value)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def put(self, value: Intent | AttemptResult) -> None:
        (self.intents if isinstance(value, Intent) else self.results).append(value)  # pyright: ignore


class VirtualBenchmark:
    """One load point against one server."""

    def __init__(
        self, folder: Path, load: dict[str, Any], rows: list[dict[str, Any]] | None = None,
        **config: Any,
    ) -> None:  # fmt: skip
        path = folder / "prompts.jsonl"
        rows = rows or [{"id": f"p{i}", "prompt": f"Say {i}."} for i in range(5)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.config: RunConfig = parse_run_config(
            {
                "name": "bench",
                "provider": {"kind": "emulator", "name": "emulator", "model": "m"},
                "dataset": {"path": str(path)},
                "params": {"stream": True},
                "load": load,
                **config,
            }
        )
        self.plan: Plan = prepare([self.config]).plan
        self.clock = ManualClock()
        self.disk = Disk()
        self.measurement = Measurement(number=1, settings=[], load={})

    def server(self, service_s: float, **more: Any) -> Server:
        return Server(self.clock, service_s, **more)

    def start(self, server: Server) -> tuple[LoadRunner, Any]:
        """The runner, and the measuring of the first load point still to be awaited."""
        assert self.config.load is not None
        settings = group_by_load_point(self.plan.settings)[0]
        load = load_from_identity(settings[0].load, self.config.load)
        gate = EndpointLimiter("m", self.config.limits, self.plan.profile("emulator"), self.clock)
        # The point has its own places; the gate must not be what limits.
        gate._slots.concurrency.limit = 10**6  # pyright: ignore
        lane = EndpointRuntime(server, gate, TokenEstimator())  # pyright: ignore
        money = RunBudget(None, {s.setting_id: None for s in self.plan.settings})
        runner = LoadRunner(
            RunContext(self.plan, self.disk, {"emulator": lane}, money, LineProgress()),  # pyright: ignore
            clock=self.clock,
        )
        trace: list[float] = []
        trials = (t for repeat in range(10**6) for t in self.plan.round_trials(settings, repeat))
        cells = len(self.plan.session_rows) * len(settings)
        limit = measured_requests(load, cells=cells, repeats=self.config.repeats)
        if load.arrival == "replay":
            trace = replay_times(self.plan.prompts, load.column or "")
            trials, limit = self.plan.dataset_trials(settings[0], 0), len(trace)
        self.measurement = Measurement(
            number=1, settings=[s.setting_id for s in settings], load=settings[0].load
        )
        turns = self.plan.next_turn if self.plan.conversations.exist else None
        point = LoadPointPlan(load, trials, limit, trace, next_turn=turns)
        return runner, runner.measure(point, self.measurement)

    async def run(self, server: Server) -> LoadPointResult:
        """Measure the load point and describe it."""
        self.runner, work = self.start(server)
        await self.clock.run(work)
        return self.described()

    def described(self) -> LoadPointResult:
        assert self.config.load is not None
        results = self.disk.results
        finals = [r for r in results if r.final]
        records = record_table(finals, columns_by_setting(self.plan.settings))
        load = load_from_identity(self.measurement.load, self.config.load)
        self.measurement.lag_s = {}  # of the real loop, which virtual time keeps busy
        return describe_load_point(self.measurement, records, attempt_table(results), load)
