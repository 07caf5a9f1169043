"""Pause, resume and other limits of a batch run in this process."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from evalharness.config.limit_changes import (
    CHANGEABLE,
    LimitValue,
    stored_value,
    value_text,
    with_changes,
)
from evalharness.config.models import LimitsConfig
from evalharness.errors import EvalharnessError, StorageError
from evalharness.process.text import plural
from evalharness.runner.budget import EarlierSpend
from evalharness.runner.context import RunContext
from evalharness.runner.control.changes import now_iso_ms
from evalharness.runner.loop import Runner
from evalharness.runner.run_summary import StopReason
from evalharness.store.folder.control import (
    ControlAnswer,
    ControlChange,
    ControlRequest,
    RunStatus,
)


class RunControl:
    """Carries out requests to a running run, and records them in its manifest.

    Args:
        context: of the run.
        runner: sends its requests.
        check_cost_limit: what earlier sessions spent, where a cost limit can hold; raises a
            :class:`ConfigError` where it cannot. It may take long.
    """

    def __init__(
        self,
        context: RunContext,
        runner: Runner,
        check_cost_limit: Callable[[], EarlierSpend],
    ) -> None:
        self._context = context
        self._runner = runner
        self._check_cost_limit = check_cost_limit
        self._limits: LimitsConfig = context.plan.config.limits

    async def handle(self, request: ControlRequest) -> ControlAnswer:
        """Do what is asked, record it, and answer."""
        try:
            if request.command == "set":
                message = await self._set(request)
            else:
                message = await self._pause_or_resume(request)
        except EvalharnessError as error:
            return ControlAnswer(
                id=request.id, applied=False, message=error.message, hint=error.hint
            )
        return ControlAnswer(id=request.id, applied=True, message=message)

    # ── pause and resume ─────────────────────────────────────────────────────────────────────

    async def _pause_or_resume(self, request: ControlRequest) -> str:
        runner, pausing = self._runner, request.command == "pause"
        since_ns = runner.paused_since_ns
        if pausing and since_ns is not None:
            return f"it is paused already, since {_iso(since_ns)}"
        if not pausing and since_ns is None:
            return "it is not paused"
        if pausing:
            runner.pause(self._pause_text())
            message = f"paused: {_in_flight(runner.in_flight)}"
        else:
            runner.resume()
            message = "it goes on"
        return message + await self._record([self._change(request)])

    def _pause_text(self) -> str:
        name = shlex.quote(self._context.store.folder.root.name)
        return f"paused; to go on: evalharness control {name} resume"

    # ── limits ───────────────────────────────────────────────────────────────────────────────

    async def _set(self, request: ControlRequest) -> str:
        before, after = self._limits, with_changes(self._limits, request.values)
        keys = [k for k in request.values if getattr(before, k) != getattr(after, k)]
        if "max_cost_usd" in keys:
            await self._prepare_cost_limit(after)
        self._limits = after
        if "rpm" in keys or "concurrency" in keys:
            self._runner.change_limits(after, f"set by {request.who}")
        if "max_cost_usd" in keys:
            self._context.budget.change_limit(after.max_cost_usd)
        exceeded = self._context.budget.exceeded_error()
        if exceeded is not None:  # before another request meets the limit
            self._runner.stop(StopReason.from_error(exceeded))
        texts = [self._set_text(before, key) for key in request.values]
        changes = [
            self._change(request, key, stored_value(before, key), stored_value(after, key))
            for key in keys
        ]
        message = "; ".join(texts) + (await self._record(changes) if changes else "")
        return message if exceeded is None else f"{message}. The run stops: {exceeded.message}"

    async def _prepare_cost_limit(self, limits: LimitsConfig) -> None:
        """Make sure that a limit can hold, where there was none so far.

        Raises:
            ConfigError: it cannot: no price, or nothing bounds an answer.
            StorageError: earlier attempts cannot be read.
        """
        budget = self._context.budget
        if limits.max_cost_usd is not None and not budget.counts_earlier:
            budget.count_earlier(await asyncio.to_thread(self._check_cost_limit))

    def _set_text(self, before: LimitsConfig, key: str) -> str:
        old = value_text(stored_value(before, key))
        new = value_text(stored_value(self._limits, key))
        if old == new:
            return f"limits.{key} is {new} already"
        text = f"limits.{key}: {old} → {new}"
        if key == "concurrency":
            served = {n: e.concurrency_hint for n, e in self._context.endpoints.items()}
            low = {n: h for n, h in served.items() if h and h < self._limits.concurrency}
            text += "".join(f" ({name} works on {most} at once)" for name, most in low.items())
        return text

    # ── the manifest ─────────────────────────────────────────────────────────────────────────

    def _change(
        self,
        request: ControlRequest,
        key: str | None = None,
        old: LimitValue = None,
        new: LimitValue = None,
    ) -> ControlChange:
        return ControlChange(
            at=now_iso_ms(),
            who=request.who,
            command=request.command,
            key=key,
            old=old,
            new=new,
            reason=request.reason,
        )

    async def _record(self, changes: list[ControlChange]) -> str:
        """Write changes that are in force into the manifest; what went wrong, as an addition."""
        folder = self._context.store.folder
        control: Any = [*folder.manifest.control, *changes]
        try:
            await asyncio.to_thread(folder.save_manifest, control=control)
        except StorageError as error:
            return f". It is in force, and not recorded: {error.message}"
        return ""

    # ── what it does ─────────────────────────────────────────────────────────────────────────

    def status(self) -> RunStatus:
        """What the run does now."""
        runner, budget = self._runner, self._context.budget
        summary, since_ns, waiting = runner.summary, runner.paused_since_ns, runner.waiting()
        return RunStatus(
            at=now_iso_ms(),
            planned=summary.planned,
            recorded=summary.already_recorded + summary.recorded,
            by_status=dict(summary.by_status),
            sent=summary.sent,
            retried=summary.retried,
            in_flight=runner.in_flight,
            seconds=round(runner.seconds, 3),
            paused_since=None if since_ns is None else _iso(since_ns),
            waiting=None if waiting is None else waiting.reason,
            waiting_s=None if waiting is None else waiting.left_s,
            spent_usd=format(budget.spent_usd, "f"),
            in_doubt_usd=format(budget.in_doubt_usd, "f"),
            limits={key: stored_value(self._limits, key) for key in CHANGEABLE},
            in_flight_limit=runner.in_flight_limits(),
        )


def _in_flight(count: int) -> str:
    if not count:
        return "nothing is in flight"
    return f"{plural(count, 'request')} in flight will end and be recorded, no other is sent"


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="seconds")
