"""``evalharness control RUN pause|resume|set|status``: changes of a running run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from evalharness.cli.parser import Command, Example, Option, Positional
from evalharness.errors import EXIT_OK, ConfigError
from evalharness.process.text import closest, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from evalharness.store.folder import control

ACTIONS = ("pause", "resume", "set", "status")


class ControlOptions(NamedTuple):
    """The arguments of ``evalharness control``."""

    run: Annotated[str, Positional("RUN", "a name or path")]
    action: Annotated[str, Positional("ACTION", "pause, resume, set or status")]
    values: Annotated[
        Sequence[str],
        Positional("KEY=VALUE", "limits.rpm=…, limits.concurrency=…, limits.max_cost_usd=…"),
    ] = ()
    reason: Annotated[str | None, Option("why; is kept in run.json", "TEXT")] = None
    wait_s: Annotated[float, Option("seconds to wait for the answer", "S", "--wait")] = 30.0
    json: Annotated[bool, Option("status as JSON")] = False


def run(options: ControlOptions) -> int:
    """Ask the process of a run for a change, and wait until it holds.

    Raises:
        ConfigError: the run is not running, or the change cannot be.
        StorageError: its process died, or gave no answer.
    """
    from evalharness.config.limit_changes import parse_changes
    from evalharness.report.words.sanitize import printable
    from evalharness.store.folder.control_client import ask, user_name
    from evalharness.store.folder.run import find_run

    if options.action not in ACTIONS:
        close = closest(options.action, ACTIONS)
        raise ConfigError(
            f"`{options.action}` is nothing that a run can be asked for",
            hint=did_you_mean(close) if close else f"one of {', '.join(ACTIONS)}",
        )
    if options.values and options.action != "set":
        raise ConfigError(
            f"`{options.action}` takes no {options.values[0]}",
            hint=f"evalharness control {options.run} set {' '.join(options.values)}",
        )
    if not 0 < options.wait_s < float("inf"):
        raise ConfigError(f"--wait must be above 0 seconds, got {options.wait_s:g}")
    values = parse_changes(options.values) if options.action == "set" else {}
    root = find_run(options.run)
    if options.action == "status":
        return _print_status(root, options)
    answer = ask(
        root,
        options.action,
        values,
        who=user_name(),
        reason=options.reason,
        wait_s=options.wait_s,
    )
    if not answer.applied:
        raise ConfigError(f"{root.name}: {answer.message}", hint=answer.hint)
    print(printable(f"{root.name}: {answer.message}"))
    return EXIT_OK


def _print_status(root: Path, options: ControlOptions) -> int:
    import msgspec

    from evalharness.report.words.sanitize import printable
    from evalharness.store.folder.control_client import ask_status

    status = ask_status(root, wait_s=options.wait_s)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(status), indent=2).decode())
        return EXIT_OK
    for line in _status_lines(root.name, status):
        print(printable(line))
    return EXIT_OK


def _status_lines(name: str, status: control.RunStatus) -> list[str]:
    from evalharness.config.limit_changes import value_text
    from evalharness.process.text import plural

    if status.refuses is not None:
        return _unchangeable_lines(name, status)
    counts = ", ".join(f"{count} {word}" for word, count in sorted(status.by_status.items()))
    done = sum(status.by_status.values())
    rate = f", {done / status.seconds:.1f}/s" if status.seconds else ""
    state = f"paused since {status.paused_since}" if status.paused_since else "running"
    may = ", ".join(f"{name} {limit}" for name, limit in status.in_flight_limit.items())
    lines = [
        f"{name}: {state}",
        f"  {_recorded(status)}" + (f"; this session {counts}{rate}" if counts else ""),
        f"  {plural(status.sent or 0, 'request')} sent, {status.retried} of them retries; "
        f"{status.in_flight} in flight (at most: {may})",
        f"  spent ${status.spent_usd}, in doubt ${status.in_doubt_usd}",
        "  " + ", ".join(f"limits.{key}={value_text(v)}" for key, v in status.limits.items()),
    ]
    if status.waiting:
        left = "" if status.waiting_s is None else f", {status.waiting_s:.0f} s left"
        lines.append(f"  {status.waiting}{left}")
    return lines


def _unchangeable_lines(name: str, status: control.RunStatus) -> list[str]:
    return [
        f"{name}: running",
        f"  {_recorded(status)}",
        f"  it cannot be paused or given other limits: {status.refuses}",
        *([f"  {status.hint}"] if status.hint else []),
    ]


def _recorded(status: control.RunStatus) -> str:
    from evalharness.process.text import plural

    if status.planned is None:
        return f"{plural(status.recorded or 0, 'trial')} recorded"
    return f"{status.recorded or 0:,} of {plural(status.planned, 'trial')} recorded"


COMMAND = Command(
    "control",
    description="Pauses a running run, lets it go on, or changes its limits, and waits until that "
    "holds; run.json keeps when, who, old and new value and the reason. A pause sends nothing new; "
    "requests in flight end and are recorded.",
    examples=(
        Example('evalharness control nightly pause --reason "quota needed elsewhere"', "pause"),
        Example("evalharness control nightly set limits.rpm=60 limits.max_cost_usd=5", "limits"),
    ),
    options=ControlOptions,
    run=run,
)
